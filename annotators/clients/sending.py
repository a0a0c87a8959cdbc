"""What one sending of a request brought: pure functions from (status, body) to a `Sending`.

Every way to fail has a name. A status of 200 proves nothing: proxies answer with HTML, servers with an empty
list of choices, with text that no file can hold, or without the log-probabilities that were asked for. What
makes a reply unusable is a failure (failures.FAILURES); what a server silently ignored is a warning
(WARNINGS).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from annotators.clients.failures import FAILURES, Remedy
from annotators.clients.request import Request, TokenLogprob, encodable
from annotators.prices import Usage

MAX_BODY = 16 * 2**20  # bytes
LOGPROB_POSITIONS = 8  # how many first tokens keep their alternatives
MAX_DETAIL = 300  # characters

WARNINGS: Mapping[str, str] = MappingProxyType(
    {
        "several_choices": "more than one choice came back; the first was taken",
        "other_model": "the server names another model than the one asked for",
        "logprobs_missing": "log-probabilities were asked for and did not come",
        "response_format_ignored": "JSON was asked for and something else came",
        "usage_missing": "the server did not say how many tokens it used",
        "settings_ignored": "a model in process replies greedily, whatever the request says of sampling",
    }
)


@dataclass(frozen=True, slots=True)
class Sending:
    """What one sending brought. usage: None where the server did not say. retry_after: seconds."""

    failure: str | None = None
    detail: str = ""
    text: str = ""
    finish_reason: str | None = None
    model: str | None = None
    top_logprobs: tuple[tuple[TokenLogprob, ...], ...] = ()
    usage: Usage | None = None
    warnings: tuple[str, ...] = ()
    retry_after: float | None = None

    @property
    def unmetered(self) -> bool:
        """Whether the server may have billed this without telling how much."""
        return self.usage is None and (self.failure is None or FAILURES[self.failure].maybe_billed)

    @property
    def remedy(self) -> Remedy | None:
        """What the failure calls for; None where there is none."""
        return None if self.failure is None else FAILURES[self.failure].remedy


def failed(name: str, detail: str = "", *, retry_after: float | None = None) -> Sending:
    """A sending that brought a failure and nothing else."""
    return Sending(failure=name, detail=one_line(detail), retry_after=retry_after)


def one_line(text: str) -> str:
    """A server's error text as part of one line: no control characters, at most MAX_DETAIL long."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", encodable(text)).split())
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 3] + "..."


def read_body(request: Request, body: bytes) -> Sending:
    """Read the body of a response of status 200."""
    if len(body) > MAX_BODY:
        return failed("oversized", f"more than {MAX_BODY} bytes")
    text = body.strip()
    if not text:
        return failed("empty_body")
    try:
        data: object = json.loads(text)
    except (ValueError, RecursionError):
        return failed("html" if text[:1] == b"<" else "invalid_json", _decoded(text))
    return read_completion(request, data)


def read_completion(request: Request, data: object) -> Sending:
    """Read a completion object, which is parsed JSON already. The Batch API gives such objects."""
    if not isinstance(data, dict):
        return failed("wrong_shape", _shown(data))
    if "choices" not in data and "error" in data:
        return failed("error_body", _error(data).message or _shown(data))
    choices = data.get("choices")
    if not isinstance(choices, list):
        return failed("wrong_shape", _shown(data))
    usage = _usage(data.get("usage"))
    model = encodable(data["model"]) if isinstance(data.get("model"), str) else None
    if not choices:
        return Sending(failure="no_choices", usage=usage, model=model)
    choice = choices[0]
    message = _message(request, choice) if isinstance(choice, dict) else None
    if not isinstance(message, dict) or not isinstance(message.get("content"), str | None):
        return Sending(failure="wrong_shape", detail=one_line(_shown(choice)), usage=usage, model=model)
    finish = choice.get("finish_reason")
    finish = encodable(finish) if isinstance(finish, str) else None
    content: str | None = message.get("content")
    logprobs = _top_logprobs(choice.get("logprobs"))
    failure = _unusable(request, message, content=content, finish=finish, weighed=bool(logprobs))
    refusal = message.get("refusal")
    return Sending(
        failure=failure,
        detail=one_line(refusal) if failure == "refusal" and isinstance(refusal, str) else "",
        text=repaired(content or ""),
        finish_reason=finish,
        model=model,
        top_logprobs=logprobs,
        usage=usage,
        warnings=tuple(
            _warnings(
                request, content or "", choices=len(choices), model=model, weighed=bool(logprobs), usage=usage
            )
        ),
    )


def _message(request: Request, choice: Mapping[str, object]) -> object:
    """The message of a choice, in the form of the chat API. The completions API gives a text alone."""
    return {"content": choice["text"]} if request.prompt and "text" in choice else choice.get("message")


def _unusable(
    request: Request, message: Mapping[str, object], content: str | None, finish: str | None, weighed: bool
) -> str | None:
    """The name of what makes a well-formed choice unusable; None where nothing does."""
    if message.get("refusal"):
        return "refusal"
    if finish == "content_filter":
        return "content_filter"
    if message.get("tool_calls") or finish in ("tool_calls", "function_call"):
        return "tool_calls"
    if finish == "length" and not (request.decoding.max_tokens == 1 or request.decoding.wants_logprobs):
        return "length"  # a reply of one token, or read by its first token, is complete
    if content is None:
        return "null_content"
    if not content.strip() and not weighed:
        return "empty_text"
    if "\0" in content:
        return "nul"
    return None if _is_unicode(content) else "lone_surrogate"


def _warnings(
    request: Request, content: str, choices: int, model: str | None, weighed: bool, usage: Usage | None
) -> list[str]:
    wanted = request.decoding.response_format
    checks = {
        "several_choices": choices > 1,
        "other_model": model is not None and not _same_model(request.model, model),
        "logprobs_missing": request.decoding.wants_logprobs and not weighed,
        "response_format_ignored": wanted is not None and not _has_format(content, wanted),
        "usage_missing": usage is None,
    }
    return [name for name, seen in checks.items() if seen]


def _same_model(asked: str, named: str) -> bool:
    """Whether the name is the one asked for, a dated snapshot of it (gpt-4o -> gpt-4o-2024-08-06), or it
    with its default revision (served -> served@main)."""
    return re.fullmatch(re.escape(asked) + r"(-\d{4}(-\d{2}-\d{2})?|-\d{8}|@main)?", named) is not None


def _has_format(content: str, wanted: Mapping[str, object]) -> bool:
    """Whether the text is JSON of the kind that was asked for, judged by the required keys of its schema."""
    if wanted.get("type") not in ("json_object", "json_schema"):
        return True
    try:
        value: object = json.loads(content)
    except (ValueError, RecursionError):
        return False
    named = wanted.get("json_schema")
    schema = named.get("schema") if isinstance(named, Mapping) else None
    required = schema.get("required") if isinstance(schema, Mapping) else None
    return isinstance(value, dict) and (not isinstance(required, list) or set(required) <= set(value))


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    prompt, completion = _count(value.get("prompt_tokens")), _count(value.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    details = value.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return Usage(prompt, completion, min(cached or 0, prompt))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def _top_logprobs(value: object) -> tuple[tuple[TokenLogprob, ...], ...]:
    """The alternatives at the first positions, with the token that was drawn. It may be empty."""
    content = value.get("content") if isinstance(value, dict) else None
    if not isinstance(content, list):
        return ()
    return tuple(found for each in content[:LOGPROB_POSITIONS] if (found := _alternatives(each)))


def _alternatives(position: object) -> tuple[TokenLogprob, ...]:
    if not isinstance(position, dict):
        return ()
    others = position.get("top_logprobs")
    listed = (
        [each for each in (_token(other) for other in others) if each] if isinstance(others, list) else []
    )
    drawn = _token(position)
    if drawn and drawn.token not in {each.token for each in listed}:
        listed.append(drawn)
    return tuple(listed)


def _token(value: object) -> TokenLogprob | None:
    token = value.get("token") if isinstance(value, dict) else None
    logprob = value.get("logprob") if isinstance(value, dict) else None
    if not isinstance(token, str) or not isinstance(logprob, int | float) or not logprob <= 1e-3:
        return None  # NaN or a positive number is no log-probability
    return TokenLogprob(repaired(token), float(max(logprob, -1e9)))


def repaired(text: str) -> str:
    """The text in a form that every file and database can hold: lone surrogates and NUL are escaped."""
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return text if _is_unicode(text) else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


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
        error = _error(json.loads(body))
    except (ValueError, RecursionError):
        error = _Error("", "")
    said = error.message or _decoded(body)
    detail = f"HTTP {status}" + (f": {said}" if said else "")
    return _status_name(status, error), one_line(detail)


def _status_name(status: int, error: _Error) -> str:
    if status == 402 or _NO_CREDIT.search(f"{error.code} {error.message}"):
        return "insufficient_quota"
    if status >= 500:
        return "gateway_timeout" if status in (504, 524) else "server_error"
    if status == 400 and "content" in error.code and ("filter" in error.code or "policy" in error.code):
        return "prompt_filtered"
    if status in (400, 413) and _TOO_LONG.search(f"{error.code} {error.message}"):
        return "context_length"
    if 300 <= status < 400:
        return "redirected"
    return _BY_STATUS.get(status, "bad_request" if 400 <= status < 500 else "wrong_shape")


_BY_STATUS = {
    401: "key_refused",
    403: "forbidden",
    404: "not_found",
    408: "gateway_timeout",
    409: "conflict",
    429: "rate_limited",
}
_NO_CREDIT = re.compile(r"insufficient_quota|billing_hard_limit|exceeded your current quota", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context_length|maximum context length|context window|prompt is too long|reduce the length",
    re.IGNORECASE,
)


def _decoded(body: bytes) -> str:
    return body[: 4 * MAX_DETAIL].decode("utf-8", "replace")


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, default=str)[: 4 * MAX_DETAIL]
