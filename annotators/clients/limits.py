"""The gate that every sending goes through: one line, first come first served.

It holds three limits: the number in flight, requests and tokens per minute, and the pause that a 429 imposes
on all. The number in flight adapts as in TCP (Jacobson 1988). A 429 halves the threshold and starts again
with one request in flight. The number doubles up to the threshold and grows by one per round beyond it. So a
pause is not followed by a flood. The 429s of one burst count as one.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from db.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What the provider grants per minute; None where it sets no limit."""

    requests: float | None = None
    tokens: float | None = None

    def __post_init__(self) -> None:
        for name, limit in (("requests", self.requests), ("tokens", self.tokens)):
            if limit is not None and not limit > 0:
                raise ConfigError(f"{limit:g} {name} per minute never end", where=f"{name} per minute")


class _Spacing:
    """A schedule with at most `per_minute` units in any minute, plus the one that is just leaving."""

    def __init__(self, per_minute: float | None) -> None:
        self._seconds_each = 60.0 / per_minute if per_minute else 0.0
        self._next = -math.inf

    def wait(self, now: float) -> float:
        return self._next - now

    def take(self, now: float, amount: float) -> None:
        if self._seconds_each:
            self._next = max(self._next, now) + amount * self._seconds_each

    def give_back(self, amount: float) -> None:
        self._next -= amount * self._seconds_each


class Gate:
    """Lets requests go one by one. It belongs to one event loop.

    most: requests in flight at most. limit: how many may be in flight now.
    """

    def __init__(
        self, most: int, rates: RateLimits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        rates = rates or RateLimits()
        self.most = most
        self.limit = float(most)
        self.in_flight = 0
        self._clock = clock
        self._threshold = float(most)
        self._resume_at = -math.inf
        self._episode = -math.inf  # when the last burst of 429s was met
        self._requests = _Spacing(rates.requests)
        self._tokens = _Spacing(rates.tokens)
        self._line = asyncio.Lock()
        self._changed = asyncio.Event()
        self._open = False

    async def enter(self, tokens: float) -> float:
        """Wait for our turn to send a request of about so many tokens. Returns the time at which it came."""
        async with self._line:
            while (wait := self._wait()) > 0:
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), None if math.isinf(wait) else wait)
                except TimeoutError:
                    continue
            now = self._clock()
            self.in_flight += 1
            self._requests.take(now, 1)
            self._tokens.take(now, tokens)
            return now

    def leave(self, unused_tokens: float = 0.0) -> None:
        """A sending is over. unused_tokens: those that it was counted for and did not use."""
        self.in_flight -= 1
        self._tokens.give_back(unused_tokens)
        self._changed.set()

    def succeeded(self) -> None:
        """The server answered: let more through, quickly below the threshold and slowly above it."""
        step = 1.0 if self.limit < self._threshold else 1.0 / self.limit
        self.limit = min(self.limit + step, float(self.most))

    def throttled(self, sent_at: float, wait: float) -> bool:
        """The server said 429 to a request that left at `sent_at`: all wait, then start slowly.

        Returns whether this 429 is the first of a new burst.
        """
        now = self._clock()
        self._resume_at = max(self._resume_at, now + wait)
        if sent_at < self._episode:
            return False
        self._episode = now
        self._threshold = max(self.limit / 2, 1.0)
        self.limit = 1.0
        return True

    def open_for_good(self) -> None:
        """Let all in line leave at once, since the run has stopped."""
        self._open = True
        self._changed.set()

    def _wait(self) -> float:
        """Seconds until the head of the line may go, as far as is known; infinite while the gate is full."""
        if self._open:
            return 0.0
        if self.in_flight >= int(self.limit):
            return math.inf
        now = self._clock()
        return max(self._resume_at - now, self._requests.wait(now), self._tokens.wait(now))
