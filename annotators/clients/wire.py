"""Errors of the wire, as httpx2 raises them, turned into failed sendings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import httpx2

from annotators.clients.endpoint import Endpoint
from annotators.clients.retry import retry_after
from annotators.clients.sending import Sending, failed
from annotators.clients.statuses import classify_status
from annotators.clients.transport import ForbiddenAddress

WIRE_ERRORS = (httpx2.HTTPError, OSError)
"""What an exchange can raise."""


def sending_of_error(error: BaseException, endpoint: Endpoint) -> Sending:
    """The failed sending for an error of WIRE_ERRORS."""
    if isinstance(error, TimeoutError):
        return failed("timeout", "no complete reply in time")
    detail = endpoint.hide(f"{type(error).__name__}: {error}".rstrip(": "))
    if isinstance(error, ForbiddenAddress | httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return failed("unreachable", detail)
    late = isinstance(error, httpx2.TimeoutException)
    return failed("timeout" if late else "connection_lost", detail)


def sending_of_status(response: httpx2.Response, endpoint: Endpoint) -> Sending:
    """The failed sending for a response of a status other than 200."""
    name, detail = classify_status(response.status_code, endpoint.hide_bytes(response.content))
    return failed(name, detail, retry_after=retry_after(response.headers, datetime.now(UTC)))


def without_secrets(sending: Sending, endpoint: Endpoint) -> Sending:
    """The sending with our secrets blanked out of each text, now that escapes and encodings are read."""
    hide = endpoint.hide
    return replace(
        sending,
        detail=hide(sending.detail),
        text=hide(sending.text),
        thinking=hide(sending.thinking),
        model=sending.model and hide(sending.model),
        finish_reason=sending.finish_reason and hide(sending.finish_reason),
    )
