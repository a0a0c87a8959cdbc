"""The online client: requests of one event loop, with our own retries, limits and budget."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType

from annotators.clients.bodies import CUT_PROMPT, read_body
from annotators.clients.budget import Account, Charge, prompt_tokens
from annotators.clients.dialect import Dialect
from annotators.clients.endpoint import Endpoint
from annotators.clients.failures import (
    FAILURES,
    FieldRefused,
    ProviderDown,
    Remedy,
    RunStopped,
    stopping_error,
)
from annotators.clients.limits import Gate, RateLimits
from annotators.clients.posting import Poster
from annotators.clients.request import (
    BeforeSend,
    Commit,
    Deliver,
    Reply,
    Request,
    Requests,
    keep_nothing,
    send_unclaimed,
)
from annotators.clients.retry import RetryPolicy
from annotators.clients.run import Interrupted, run_each
from annotators.clients.sending import Sending, failed
from annotators.clients.tally import Tally
from annotators.clients.transport import connect_seconds
from annotators.clients.wire import WIRE_ERRORS, sending_of_error, sending_of_status, without_secrets
from annotators.prices import Price, no_price
from db.errors import ConfigError

PATIENCE = 50  # requests in a row that fail for the server's reasons before the run stops
FIRST_CONTACT = 3  # attempts to reach a server that has never answered
REFUSALS = 10  # pauses in a row, with no reply between them, before the run stops
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OnlineOptions:
    """How requests are sent. timeout: seconds for one whole sending.

    without: fields (dialect.FIELDS) that are not sent. required: fields whose refusal ends the run.
    cut_prompts: a reply to a prompt that the server cut is taken, with a warning.
    """

    concurrency: int = 100
    timeout: float = 120.0
    rates: RateLimits = field(default_factory=RateLimits)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    without: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    cut_prompts: bool = False

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ConfigError(f"at least one request at a time, not {self.concurrency}", where="concurrency")
        if not self.timeout > 0:
            raise ConfigError(f"a time limit is above 0 seconds, not {self.timeout:g}", where="timeout")


class OnlineClient:
    """A Client and Transport over an OpenAI-compatible server.

    Use it through run_all, or in `async with`. One instance serves one run at a time. Its account may be
    shared with other clients of the same run.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        options: OnlineOptions | None = None,
        *,
        price: Callable[[str], Price | None] = no_price,
        account: Account | None = None,
        before_send: BeforeSend = send_unclaimed,
    ) -> None:
        self.endpoint = endpoint
        self.options = options or OnlineOptions()
        self.account = account or Account()
        self._price = price
        self._before_send = before_send
        self._dialect = Dialect(endpoint.max_tokens_field, self.options.without)
        self.refusals: dict[str, str] = {}

    async def __aenter__(self) -> OnlineClient:
        options = self.options
        self._poster = Poster(self.endpoint, at_once=options.concurrency, timeout=options.timeout)
        self._gate = Gate(options.concurrency, options.rates)
        self._stopped: RunStopped | None = None
        self._stopping = asyncio.Event()
        self._answered = 0  # usable replies so far
        self._refused = 0  # bursts of 429s since the last of them
        self._down = 0  # requests in a row that failed for the server's reasons
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._poster.close()

    async def run(self, requests: Requests, deliver: Deliver, commit: Commit = keep_nothing) -> None:
        """See Transport.run."""
        async with self:
            await run_each(self, requests, deliver, commit, width=self.options.concurrency)
            self._refuse_if_stopped()

    def stop(self, reason: RunStopped) -> None:
        """Send nothing more. What is in flight may finish."""
        self._stopped = self._stopped or reason
        self._stopping.set()
        self._gate.open_for_good()

    async def complete(self, request: Request) -> Reply:
        """See Client.complete. If it is cancelled after something was sent, it raises Interrupted with the
        reply.
        """
        price = self._price(request.model)
        tally = Tally(request, price, self.account.worst_case(request, price))
        try:
            while await self._again(request, tally, await self._attempt(request, tally)):
                pass
        except RunStopped:
            if not tally.attempts:
                raise
        except asyncio.CancelledError:
            if not tally.attempts:
                raise
            raise Interrupted(tally.reply()) from None
        reply = tally.reply()
        self._watch(reply)
        return reply

    async def _attempt(self, request: Request, tally: Tally) -> Sending:
        """Send once, within the budget. Raises RunStopped where it may not be sent."""
        self._refuse_if_stopped()
        await self.account.reserve(tally.worst)
        tally.charge = Charge()
        try:
            return await self._through_gate(request, tally)
        finally:
            self.account.settle(tally.worst, tally.charge)

    async def _through_gate(self, request: Request, tally: Tally) -> Sending:
        """Send once, when our turn has come and the claim is written."""
        tokens = self._tokens(request)
        sent_at = await self._gate.enter(tokens)
        try:
            self._refuse_if_stopped()
            await self._before_send(request, tally.attempts + 1)
            sending = await self._send(request, tally)
            self._adapt(request, tally, sending, sent_at)
            return sending
        finally:
            self._gate.leave(max(tokens - tally.charge.tokens, 0))

    async def _send(self, request: Request, tally: Tally) -> Sending:
        """Send once, and book the sending even if we are cancelled."""
        started = time.perf_counter()
        sending = failed("interrupted")
        try:
            sending = await self._exchange(request)
        finally:
            tally.book(sending, time.perf_counter() - started)
        return sending

    async def _exchange(self, request: Request) -> Sending:
        """One HTTP exchange. An error of the wire is a failed Sending, and no exception."""
        dialect = self._dialect
        body = dialect.body_bytes(request)
        try:
            async with asyncio.timeout(self.options.timeout):
                response = await self._poster.post(request.path, body)
        except WIRE_ERRORS as error:
            return self._heeding(request, dialect, sending_of_error(error, self.endpoint))
        if response.status_code != 200:
            return self._heeding(request, dialect, sending_of_status(response, self.endpoint))
        body_read = read_body(request, self.endpoint.hide_bytes(response.content))
        sending = without_secrets(body_read, self.endpoint)
        if sending.failure == CUT_PROMPT and self.options.cut_prompts:
            sending = replace(sending, failure=None, detail="", warnings=(*sending.warnings, CUT_PROMPT))
        if lost := dialect.lost(request):
            sending = replace(sending, warnings=(*sending.warnings, *lost))
        return self._heeding(request, dialect, sending)

    def _heeding(self, request: Request, used: Dialect, sending: Sending) -> Sending:
        """Learn from a refusal of a field, and mark the sending so that the request is sent again at once."""
        refusal = used.heeding(request, sending)
        if refusal is None:
            return sending
        field_, dialect = refusal
        if field_ in self.options.required:
            remedy = f"choose another model or server, or accept the loss: --without {field_}"
            what = f"the server refuses {field_}, which this run needs: {sending.detail}"
            self.stop(FieldRefused(what, where=self.endpoint.name, remedy=remedy))
            return sending
        if field_ not in self.refusals:
            log.info("%s refuses %s: %s", self.endpoint.name, field_, sending.detail)
            self.refusals[field_] = sending.detail
        self._dialect = self._dialect.joined(dialect)
        return replace(sending, heeded=True)

    def _adapt(self, request: Request, tally: Tally, sending: Sending, sent_at: float) -> None:
        """Tell the gate and the run how the sending went."""
        if sending.failure is None:
            self._answered += 1
            self._refused = 0
            self._gate.succeeded()
        elif _slows_all(sending):
            wait = self.options.retry.wait(request, tally.attempts, sending.retry_after)
            log.info("%s: all wait %.1f s", sending.failure, wait)
            self._refused += self._gate.throttled(sent_at, wait)
            tally.forgive(self._answered)
            if self._refused == REFUSALS:
                self._give_up(f"{self._refused} times in a row all were told to wait: {sending.detail}")
        elif sending.remedy is Remedy.STOP:
            self.stop(stopping_error(sending.failure, sending.detail, where=self.endpoint.name))

    async def _again(self, request: Request, tally: Tally, sending: Sending) -> bool:
        """Whether to send the request again; waits for as long as that takes."""
        retry = self.options.retry
        if sending.heeded:
            return True
        if sending.remedy is not Remedy.RETRY or not retry.allows(tally.counted, tally.paid):
            return False
        if sending.failure == "unreachable" and not self._answered:
            late = tally.seconds >= connect_seconds(self.options.timeout)  # it took all the time it had
            if late or tally.attempts >= FIRST_CONTACT:
                return False
        if _slows_all(sending):
            return True  # the gate holds us back with all others
        wait = retry.wait(request, tally.attempts, None)
        log.info("%s at attempt %d: next in %.1f s", sending.failure, tally.attempts, wait)
        try:
            await asyncio.wait_for(self._stopping.wait(), wait)
        except TimeoutError:
            return True
        return False

    def _watch(self, reply: Reply) -> None:
        """Stop the run when one request after the other fails, for reasons that are not the request's own."""
        if reply.failure is None:
            self._down = 0
        elif FAILURES[reply.failure].remedy is Remedy.RETRY:
            self._down += 1
            if self._down == PATIENCE:
                last = f"{reply.failure} {reply.detail}".strip()
                self._give_up(f"{PATIENCE} requests in a row failed, the last with {last}")

    def _give_up(self, why: str) -> None:
        remedy = "see how the server is doing, then run the same command again"
        self.stop(ProviderDown(why, where=self.endpoint.name, remedy=remedy))

    def _tokens(self, request: Request) -> int:
        """Tokens of the request as providers count them for limits: the prompt and the longest reply."""
        if self.options.rates.tokens is None:
            return 0
        return prompt_tokens(request) + (request.decoding.max_tokens or 0)

    def _refuse_if_stopped(self) -> None:
        if self._stopped is not None:
            raise self._stopped.with_traceback(None)


def _slows_all(sending: Sending) -> bool:
    return sending.failure == "rate_limited" or (
        sending.remedy is Remedy.RETRY and sending.retry_after is not None
    )
