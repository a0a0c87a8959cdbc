"""The sendings of one request, summed: tokens, money, and what the last of them brought."""

from __future__ import annotations

from annotators.clients.budget import Charge
from annotators.clients.request import Reply, Request
from annotators.clients.retry import was_paid
from annotators.clients.sending import Sending
from annotators.prices import Price, Usage


class Tally:
    """Books each sending of a request. worst: the most that one can take. price: None where unknown."""

    def __init__(self, request: Request, price: Price | None, worst: Charge) -> None:
        self.worst = worst
        self.attempts = 0
        self.charge = Charge()  # what the last sending took, at its worst where that is not known
        self.paid = 0  # of the attempts, those that were or may have been billed
        self.seconds = 0.0  # of the last sending
        self._forgiven = 0
        self._answered = 0
        self._request = request
        self._price = price
        self._usage = Usage()
        self._unmetered = 0
        self._last = Sending(failure="interrupted")

    @property
    def counted(self) -> int:
        """The attempts that count against the limit of attempts."""
        return self.attempts - self._forgiven

    def forgive(self, answered: int) -> None:
        """Do not count a 429 if other requests were answered since the last one.

        answered: how many requests of the run have been answered so far.
        """
        self._forgiven += answered > self._answered
        self._answered = answered

    def book(self, sending: Sending, seconds: float) -> None:
        """Add a sending that is over."""
        self.attempts += 1
        self.paid += was_paid(sending)
        self._unmetered += sending.unmetered
        self._last, self.seconds = sending, seconds
        usage = sending.usage or Usage()
        self._usage += usage
        cost = 0.0 if self._price is None else self._price.cost(usage)
        self.charge = self.worst if sending.unmetered else Charge(1, usage.total, cost)

    def reply(self) -> Reply:
        """What came of the request so far."""
        sending = self._last
        cost = None if self._price is None else self._price.cost(self._usage)
        return Reply(
            request_key=self._request.key,
            text=sending.text,
            thinking=sending.thinking,
            finish_reason=sending.finish_reason,
            model=sending.model,
            top_logprobs=sending.top_logprobs,
            usage=self._usage,
            unmetered=self._unmetered,
            cost=cost,
            cost_bound=None if cost is None else cost + self._unmetered * self.worst.cost,
            seconds=self.seconds,
            attempts=self.attempts,
            failure=sending.failure,
            detail=sending.detail,
            warnings=sending.warnings,
        )
