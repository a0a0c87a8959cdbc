"""Money, tokens and requests: what a run will cost, and a limit that it cannot pass.

Before a request is sent, its worst case is set aside. Afterwards the real amount is booked, and the rest is
free again. So the limit holds whatever is in flight. The worst case takes each UTF-8 byte of the prompt for a
token, since no byte-level tokenizer makes more, and each reply to be as long as max_tokens allows.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from annotators.clients.failures import BudgetExhausted
from annotators.clients.request import Request
from annotators.clients.tokens import count_tokens
from annotators.prices import Price, Usage
from db.errors import ConfigError
from db.ids import canonical_json

MESSAGE_TOKENS = 4  # what a chat format adds to each message
REPLY_TOKENS = 3  # and to open the reply


@dataclass(frozen=True, slots=True)
class Charge:
    """An amount of what a budget limits. cost: US dollars."""

    requests: int = 0
    tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: Charge) -> Charge:
        return Charge(self.requests + other.requests, self.tokens + other.tokens, self.cost + other.cost)

    def __sub__(self, other: Charge) -> Charge:
        return Charge(self.requests - other.requests, self.tokens - other.tokens, self.cost - other.cost)


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a run may take; None is no limit. Each sending counts as a request, retries too."""

    max_cost: float | None = None  # US dollars
    max_requests: int | None = None
    max_tokens: int | None = None

    def holds(self, charge: Charge) -> bool:
        """Whether an amount is within the budget."""
        cost_cap = (
            math.inf if self.max_cost is None else self.max_cost * (1 + 1e-12)
        )  # sums of floats are inexact
        requests_cap = math.inf if self.max_requests is None else self.max_requests
        tokens_cap = math.inf if self.max_tokens is None else self.max_tokens
        return charge.cost <= cost_cap and charge.requests <= requests_cap and charge.tokens <= tokens_cap


class Account:
    """What a run has spent and set aside, and its budget. All clients of the run share it."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self.spent = Charge()
        self.reserved = Charge()
        self._settled: asyncio.Event | None = None

    def worst_case(self, request: Request, price: Price | None) -> Charge:
        """The most that one sending can take. Raises ConfigError where the budget limits what is unknown."""
        limit = request.decoding.max_tokens
        if limit is None and (self.budget.max_cost is not None or self.budget.max_tokens is not None):
            raise ConfigError(
                "a budget needs a longest reply",
                where=f"decoding of {request.model}",
                remedy="set max_tokens in the annotator, or leave out --max-cost and --max-tokens",
            )
        if price is None and self.budget.max_cost is not None:
            raise ConfigError(
                f"the price of {request.model} is unknown, so --max-cost cannot be held",
                where="prices",
                remedy="give its price in a file of your own (docs/providers.md), or use --max-requests",
            )
        usage = Usage(prompt_token_bound(request), limit or 0)
        return Charge(1, usage.total, 0.0 if price is None else price.cost(usage))

    def fits(self, worst: Charge) -> bool:
        """Whether the worst case can be set aside now."""
        return self.budget.holds(self.spent + self.reserved + worst)

    async def reserve(self, worst: Charge) -> None:
        """Set the worst case aside. Waits for requests in flight where they may make room.

        Raises BudgetExhausted where there is no room.
        """
        while not self.fits(worst):
            if self.reserved.requests == 0 or not self.budget.holds(self.spent + worst):
                raise BudgetExhausted(
                    f"the budget is used up: {self._described()} spent, and the next request could take"
                    f" {_said(worst)}",
                    remedy="raise the cap and run the same command again: nothing is asked twice",
                )
            self._settled = self._settled or asyncio.Event()
            await self._settled.wait()
        self.reserved += worst

    def settle(self, worst: Charge, actual: Charge) -> None:
        """Book what a sending took, and release what was set aside for it."""
        left = self.reserved - worst
        self.reserved = left if left.requests else Charge()  # sums of floats leave tiny rests
        self.spent += actual
        if self._settled is not None:
            self._settled.set()
            self._settled = None

    def _described(self) -> str:
        spent, cap = self.spent, self.budget
        parts = []
        if cap.max_cost is not None:
            parts.append(f"${spent.cost:.4f} of ${cap.max_cost:.4f}")
        if cap.max_requests is not None:
            parts.append(f"{spent.requests} of {cap.max_requests} requests")
        if cap.max_tokens is not None:
            parts.append(f"{spent.tokens} of {cap.max_tokens} tokens")
        return ", ".join(parts)


def _said(worst: Charge) -> str:
    return f"${worst.cost:.4f}" if worst.cost else f"{worst.tokens} tokens"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is expected to take. cost: US dollars; None where a price is unknown."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


def estimate(
    requests: Iterable[Request],
    price: Callable[[str], Price | None],
    reply_tokens: Callable[[Request], float] | None = None,
) -> Estimate:
    """The expected tokens and cost of these requests. Each is sent once, and no prompt cache helps.

    price: of a model by name, as PriceTable.price. reply_tokens: the expected length of a reply, such as the
    mean of the annotator's own examples. Without it, each reply is taken to be max_tokens long, which is the
    most it can be (0 where there is no max_tokens).
    """
    count = prompt = 0
    completion = 0.0
    cost: float | None = 0.0
    for request in requests:
        asked = prompt_tokens(request)
        reply = reply_tokens(request) if reply_tokens else float(request.decoding.max_tokens or 0)
        count, prompt, completion = count + 1, prompt + asked, completion + reply
        rate = price(request.model)
        if rate is None or cost is None:
            cost = None
        else:
            cost += (asked * rate.input + reply * rate.output) / 1e6
    return Estimate(count, prompt, round(completion), cost)


def prompt_tokens(request: Request) -> int:
    """About how many prompt tokens a request is."""
    said = sum(count_tokens(each.content) for each in request.messages) + len(request.prompt)
    return said + MESSAGE_TOKENS * len(request.messages) + REPLY_TOKENS


def prompt_token_bound(request: Request) -> int:
    """A number of prompt tokens that no byte-level tokenizer exceeds."""
    said = sum(len(each.content.encode("utf-8", "surrogatepass")) for each in request.messages)
    said += len(request.prompt)
    schema = request.decoding.response_format
    said += 0 if schema is None else len(canonical_json(schema).encode("utf-8", "surrogatepass"))
    return said + 2 * MESSAGE_TOKENS * len(request.messages) + 2 * REPLY_TOKENS
