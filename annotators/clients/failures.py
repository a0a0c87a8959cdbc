"""The failures of a request by name, what to do about each, and the errors that stop a run.

There is one table of failures. The online client, the Batch API and the docs page read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from db.errors import Paused


class RunStopped(Paused):
    """The run sends nothing more. What was paid for is kept, and the same command continues."""


class QuotaExhausted(RunStopped):
    """The account has no credit left."""


class KeyRefused(RunStopped):
    """The server does not accept the API key."""


class NotFound(RunStopped):
    """The server has no such model, or there is no such API at this address."""


class BudgetExhausted(RunStopped):
    """The next request could cost more than what is left of the budget."""


class ProviderDown(RunStopped):
    """Many requests in a row failed for the server's own reasons."""


class FieldRefused(RunStopped):
    """The server refuses a field without which the replies would be others than those asked for."""


class RunInterrupted(RunStopped):
    """The run was asked to stop."""


class Remedy(StrEnum):
    """What a failure calls for."""

    RETRY = "retry"  # the same request may do better
    LEAVE = "leave"  # this request will not do better in this run
    STOP = "stop"  # no request will


@dataclass(frozen=True, slots=True)
class FailureKind:
    """One kind of failure. maybe_billed: the server may have done the work and billed it."""

    remedy: Remedy
    maybe_billed: bool
    meaning: str


def _retry(meaning: str, *, billed: bool = False) -> FailureKind:
    return FailureKind(Remedy.RETRY, billed, meaning)


def _leave(meaning: str, *, billed: bool = False) -> FailureKind:
    return FailureKind(Remedy.LEAVE, billed, meaning)


def _stop(meaning: str) -> FailureKind:
    return FailureKind(Remedy.STOP, False, meaning)


FAILURES: Mapping[str, FailureKind] = MappingProxyType(
    {
        # no reply
        "unreachable": _retry("no connection: refused, unknown host, TLS failure"),
        "timeout": _retry("no complete reply within the time limit", billed=True),
        "connection_lost": _retry("the connection broke after the request was sent", billed=True),
        "interrupted": _leave("we were told to stop while the request was under way", billed=True),
        # replies other than 200
        "rate_limited": _retry("429: too many requests or tokens per minute"),
        "server_error": _retry("a status of 500 or above"),
        "gateway_timeout": _retry("408, 504 or 524: a server on the way gave up waiting", billed=True),
        "conflict": _retry("409"),
        "insufficient_quota": _stop("402, or a 429 that says the credit is used up"),
        "key_refused": _stop("401"),
        "not_found": _stop("404: no such model, or not an API address"),
        "forbidden": _leave("403"),
        "redirected": _leave("a redirect, which is never followed"),
        "too_large": _leave("413, or a 429 that says that this one request is above the limit"),
        "context_length": _leave("400: the prompt is longer than the model reads"),
        "prompt_filtered": _leave("400: the provider's filter refused the prompt"),
        "bad_request": _leave("any other status of 400 to 499"),
        # replies of status 200 that are not a usable completion
        "html": _retry("an HTML page", billed=True),
        "empty_body": _retry("nothing at all", billed=True),
        "invalid_json": _retry("not JSON, or JSON cut short", billed=True),
        "wrong_shape": _retry("JSON of another shape", billed=True),
        "error_body": _retry("an error object under status 200", billed=True),
        "no_choices": _retry("an empty list of choices", billed=True),
        "null_content": _retry("a message without content or thinking", billed=True),
        "empty_text": _retry("no text, or white space alone", billed=True),
        "lone_surrogate": _retry("text that is not valid Unicode", billed=True),
        "nul": _retry("text with a NUL character", billed=True),
        "prompt_cut": _leave("the server read only a part of the prompt, by its own count", billed=True),
        "unfinished": _retry("the reply ended for a reason that is no good end", billed=True),
        "oversized": _leave("a body above the size limit", billed=True),
        "refusal": _leave("the model refused in the refusal field", billed=True),
        "content_filter": _leave("the provider's filter cut the reply", billed=True),
        "length": _leave("the reply was cut at max_tokens", billed=True),
        "tool_calls": _leave("a tool call in place of text", billed=True),
        "not_finite": _leave("a model in this process gave numbers that are none: NaN or infinite"),
        "unstorable": _leave("a reply that the ledger cannot hold; its cost is kept", billed=True),
        # the Batch API
        "batch_failed": _leave("the provider refused the batch"),
        "batch_expired": _leave("the batch expired before this request was answered"),
        "batch_cancelled": _leave("the batch was cancelled before this request was answered"),
        "batch_missing": _leave("the batch ended without a line for this request", billed=True),
    }
)

STOPS: Mapping[str, type[RunStopped]] = MappingProxyType(
    {"insufficient_quota": QuotaExhausted, "key_refused": KeyRefused, "not_found": NotFound}
)

_REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "insufficient_quota": "top up the account and run the same command again: nothing is asked twice",
        "key_refused": "set FARM_API_KEY (or OPENAI_API_KEY for OpenAI itself) to a key this server accepts",
        "not_found": "check --model and --base-url: retired models answer like this",
    }
)


def stopping_error(failure: str, detail: str, *, where: str) -> RunStopped:
    """The error that ends a run on a failure whose remedy is STOP."""
    return STOPS[failure](detail or FAILURES[failure].meaning, where=where, remedy=_REMEDIES[failure])
