"""Failures that a server words itself: a status other than 200, or an error object under status 200."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from annotators.clients.sending import decoded, one_line

_BY_STATUS = {
    401: "key_refused",
    403: "forbidden",
    404: "not_found",
    408: "gateway_timeout",
    409: "conflict",
    413: "too_large",
    429: "rate_limited",
    504: "gateway_timeout",
    524: "gateway_timeout",
}
_NO_CREDIT = re.compile(r"insufficient_quota|billing_hard_limit|exceeded your current quota", re.IGNORECASE)
_TOO_LONG = re.compile(  # in the words of a dozen servers; a gap stays within a sentence
    r"context_length|exceed_context_size|context (?:size|window)|reduce the length of|prompt (?:is )?too long"
    r"|too many (?:input )?tokens|input is too long|(?:maximum|max) (?:prompt|model|sequence) length"
    r"|max_model_len|(?:exceed|longer than|greater than|maximum|max|limit|overflow)[^.!?\n]{0,60} context"
    r"|context[^.!?\n]{0,40} (?:overflow|exceed|limit|length of only)|token count[^.!?\n]{0,40} exceed"
    r"|inputs?`? (?:must have less than|tokens[^.!?\n]{0,40}<=)",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(
    r"request (?:is )?too large|(?:input|output|prompt|message|request)[^.!?\n]{0,40} must be reduced"
    r"|reduce (?:your|the) (?:message|prompt|request|input)|single request",
    re.IGNORECASE,
)
_LIMIT = re.compile(r"limit:? (\d[\d,]*)\b.{0,80}?requested:? (\d[\d,]*)\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Error:
    code: str
    message: str


def _error(data: object) -> _Error:
    """Code and message of an error object, in any of the shapes that servers use."""
    body = data.get("error", data) if isinstance(data, dict) else data
    if not isinstance(body, dict):
        return _Error("", body if isinstance(body, str) else "")
    codes = [body.get(name) for name in ("code", "type")]
    inner = body.get("innererror")
    if isinstance(inner, dict):
        codes.append(inner.get("code"))
    message = next((body[key] for key in ("message", "detail", "msg") if isinstance(body.get(key), str)), "")
    return _Error(" ".join(str(code).lower() for code in codes if code is not None), message)


def classify_status(status: int, body: bytes) -> tuple[str, str]:
    """The name and the detail of a failure whose HTTP status is not 200."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = ""
    error = _error(data[0] if isinstance(data, list) and data else data)
    said = error.message or decoded(body)
    detail = f"HTTP {status}" + (f": {said}" if said else "")
    return _status_name(status, error, said), one_line(detail)


def _status_name(status: int, error: _Error, said: str) -> str:
    if status == 402 or _NO_CREDIT.search(f"{error.code} {said}"):
        return "insufficient_quota"
    if status == 400 and "content" in error.code and ("filter" in error.code or "policy" in error.code):
        return "prompt_filtered"
    if status in (400, 413, 422, 500) and _TOO_LONG.search(f"{error.code} {said}"):
        return "context_length"
    if status == 429 and _is_too_large(said):
        return "too_large"
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 300 <= status < 400:
        return "redirected"
    return "server_error" if status >= 500 else "bad_request" if status >= 400 else "wrong_shape"


def _is_too_large(said: str) -> bool:
    """Whether a 429 says that this one request is above the limit, so that waiting does not help."""
    numbers = _LIMIT.search(said)
    if numbers:
        limit, asked = (int(each.replace(",", "")) for each in numbers.groups())
        return asked > limit
    return _TOO_LARGE.search(said) is not None


def error_message(error: object) -> str:
    """What an error object says, in any of the shapes that servers use; empty where it says nothing."""
    return _error({"error": error}).message if error else ""


def body_failure(error: object) -> tuple[str, str]:
    """The name and the words of an error object that came under status 200."""
    found = _error({"error": error})
    too_long = _TOO_LONG.search(f"{found.code} {found.message}")
    return "context_length" if too_long else "error_body", found.message
