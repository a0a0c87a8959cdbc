"""When to try again: Retry-After in all the forms that servers send, and our own waiting times.

The retries of the SDK are off. It sends no idempotency key, so each of its silent retries may be billed
without a trace. Our retries are counted, claimed before they are sent, and limited.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from annotators.clients.request import Request
from annotators.clients.sending import Sending
from annotators.prices import Usage
from db.ids import keyed_uniform


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that the server asks us to wait, 0 or more; None where it says nothing readable.

    headers: retry-after-ms (milliseconds) and retry-after (seconds, whole or not, or an HTTP date: RFC 9110,
    10.2.3). The mapping compares names without case, or has them in lower case. now: the time to compare a
    date with. The server's own Date header, if there is one, goes before it, so that a wrong clock does no
    harm.
    """
    milliseconds = _finite(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(milliseconds / 1000, 0.0)
    stated = headers.get("retry-after")
    seconds = _finite(stated)
    if seconds is None:
        at = _date(stated)
        seconds = None if at is None else (at - (_date(headers.get("date")) or now)).total_seconds()
    return None if seconds is None else max(seconds, 0.0)


def _finite(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _date(text: str | None) -> datetime | None:
    try:
        at = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and after which waits, a request is tried again within one run."""

    attempts: int = 8
    """Sendings of one request at most. A 429 does not count while other requests are being answered."""
    paid_attempts: int = 3
    """Sendings at most of those that were, or may have been, billed and brought nothing usable."""
    first_wait: float = 0.5
    """Seconds; doubled with each attempt."""
    longest_wait: float = 120.0
    """Seconds; also the bound on what Retry-After can ask for."""

    def allows(self, attempts: int, paid: int) -> bool:
        """Whether there may be another sending. attempts: sendings so far. paid: those that may be billed."""
        return attempts < self.attempts and paid < self.paid_attempts

    def wait(self, request: Request, attempt: int, asked: float | None) -> float:
        """Seconds before the next sending: what the server asked, or a backoff of half to all of its step.

        The jitter is a keyed hash of the request, so that requests that failed together do not return
        together. A wait that was asked for gets up to a tenth on top, for the same reason.
        """
        jitter = keyed_uniform("backoff", request.key, attempt)
        if asked is not None:
            return min(asked * (1 + jitter / 10), self.longest_wait)
        backoff = self.first_wait * 2.0 ** (attempt - 1)
        return min(backoff, self.longest_wait) * (1 + jitter) / 2


def was_paid(sending: Sending) -> bool:
    """Whether a sending was billed, or may have been."""
    return sending.unmetered or (sending.usage is not None and sending.usage != Usage())
