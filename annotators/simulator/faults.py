"""Everything that can go wrong at a provider, by name: each fault turns a good reply into what is sent
instead.

The groups are: 1 the provider refuses requests at this rate, 2 the account is empty, 3 server errors, 4
faults of the wire, 5 replies of status 200 (and 400) that are no completion, 6 options silently ignored, 7
verdicts that are hard to read (see replies.OFF_FORMAT), 8 text that is hard to store.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import MappingProxyType
from typing import Any

from annotators.simulator.http import HttpReply, Wire

Body = dict[str, Any]
"""A chat-completion object; the fault may change it, it is its own copy."""


@dataclass(frozen=True, slots=True)
class Fault:
    """billed: the provider did the work and charges for it. passing: another try helps, and a client can see
    that something went wrong. whole: what is sent is a completion, or an error that says so.
    """

    group: int
    reply: Callable[[Body], HttpReply]
    billed: bool
    passing: bool
    whole: bool = True

    def in_a_file(self) -> Fault:
        """The fault in a line of a batch. There is no wire there, and what is no completion is an error,
        which is not billed.
        """
        if self.group == 4:
            return GOOD
        return self if self.whole else FAULTS["500"]


def good(body: Body) -> HttpReply:
    """The reply when nothing goes wrong. Lone surrogates are sent as JSON escapes."""
    try:
        return HttpReply(200, json.dumps(body, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return HttpReply(200, json.dumps(body).encode())


def refuse(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> HttpReply:
    """An error object in OpenAI's form."""
    error = {"error": {"message": message, "type": code, "param": None, "code": code}}
    return HttpReply(status, json.dumps(error).encode(), headers=headers or {})


def _throttled(headers: Callable[[], Mapping[str, str]]) -> Fault:
    return Fault(
        1,
        lambda body: refuse(429, "rate_limit_exceeded", "Rate limit reached for requests", headers()),
        billed=False,
        passing=True,
    )


def _retry_after(value: str) -> Fault:
    return _throttled(lambda: {"retry-after": value})


def _in_one_second() -> Mapping[str, str]:
    now = datetime.now(UTC)
    return {"date": _http_date(now), "retry-after": _http_date(now + timedelta(seconds=1))}


def _http_date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


def _status(group: int, status: int, *, html: bool = False, passing: bool = True) -> Fault:
    page = f"<html><body><h1>{status}</h1></body></html>".encode()
    return Fault(
        group,
        lambda body: (
            HttpReply(status, page, "text/html")
            if html
            else refuse(status, "server_error", f"the server answered {status}")
        ),
        billed=False,
        passing=passing,
    )


def _refused(group: int, status: int, code: str, message: str) -> Fault:
    return Fault(group, lambda body: refuse(status, code, message), billed=False, passing=False)


def _wire(wire: Wire) -> Fault:
    def reply(body: Body) -> HttpReply:
        whole = good(body)
        return HttpReply(whole.status, whole.body, wire=wire)

    return Fault(4, reply, billed=True, passing=True)


def _raw(body: bytes, content_type: str = "application/json") -> Fault:
    return Fault(5, lambda _: HttpReply(200, body, content_type), billed=True, passing=True, whole=False)


def _changed(group: int, change: Callable[[Body], object], *, passing: bool = False) -> Fault:
    def reply(body: Body) -> HttpReply:
        change(body)
        return good(body)

    return Fault(group, reply, billed=True, passing=passing)


def _said(group: int, write: Callable[[str], str | None], *, passing: bool = False) -> Fault:
    def change(body: Body) -> None:
        message = body["choices"][0]["message"]
        message["content"] = write(message["content"])

    return _changed(group, change, passing=passing)


def _finished(reason: str, **message: object) -> Fault:
    def change(body: Body) -> None:
        body["choices"][0]["finish_reason"] = reason
        body["choices"][0]["message"].update(message)

    return _changed(5, change)


GOOD = Fault(0, good, billed=True, passing=False)
"""No fault at all."""

_CALL = {"id": "call_1", "type": "function", "function": {"name": "judge", "arguments": "{}"}}
_TRUNCATED = b'{"id": "chatcmpl-1", "object": "chat.completion", "choices": [{"index": 0, "mess'

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "429_absent": _throttled(dict),
        "429_0": _retry_after("0"),
        "429_fraction": _retry_after("0.2"),
        "429_1": _retry_after("1"),
        "429_120": _retry_after("120"),
        "429_86400": _retry_after("86400"),
        "429_negative": _retry_after("-5"),
        "429_nan": _retry_after("nan"),
        "429_inf": _retry_after("inf"),
        "429_garbage": _retry_after("soon, perhaps"),
        "429_date": _throttled(_in_one_second),
        "429_ms": _throttled(lambda: {"retry-after-ms": "200"}),
        "quota": _refused(2, 429, "insufficient_quota", "You exceeded your current quota"),
        "401": _refused(2, 401, "invalid_api_key", "Incorrect API key provided"),
        "404": _refused(2, 404, "model_not_found", "The model does not exist"),
        "500": _status(3, 500),
        "500_html": _status(3, 500, html=True),
        "502_html": _status(3, 502, html=True),
        "503_html": _status(3, 503, html=True),
        "529": _status(3, 529),
        "408": _status(3, 408),
        "409": _status(3, 409),
        "302": Fault(
            3, lambda body: HttpReply(302, headers={"location": "/v1/chat/completions"}), False, False
        ),
        "reset_first": _wire(Wire.RESET_FIRST),
        "reset_after_head": _wire(Wire.RESET_AFTER_HEAD),
        "cut": _wire(Wire.CUT),
        "drip": _wire(Wire.DRIP),
        "hang": _wire(Wire.HANG),
        "html": _raw(b"<!DOCTYPE html><html><body>Welcome</body></html>", "text/html"),
        "empty": _raw(b""),
        "truncated": _raw(_TRUNCATED),
        "other_shape": _raw(b'{"result": "fine"}'),
        "list": _raw(b"[1, 2, 3]"),
        "error_object": _raw(b'{"error": {"message": "overloaded", "code": 503}}'),
        "no_choices": _changed(5, lambda body: body.update(choices=[]), passing=True),
        "no_usage": _changed(5, lambda body: body.pop("usage")),
        "null": _said(5, lambda text: None, passing=True),
        "empty_text": _said(5, lambda text: "", passing=True),
        "white_space": _said(5, lambda text: " \n\t ", passing=True),
        "refusal": _finished("stop", content=None, refusal="I cannot help with that."),
        "length": _finished("length"),
        "content_filter": _finished("content_filter", content=""),
        "tool_calls": _finished("tool_calls", content=None, tool_calls=[_CALL]),
        "400_filter": _refused(5, 400, "content_filter", "The prompt triggered the content policy"),
        "400_length": _refused(5, 400, "context_length_exceeded", "This model's maximum context length is 8"),
        "two_choices": _changed(6, lambda body: body["choices"].append(body["choices"][0])),
        "no_logprobs": _changed(6, lambda body: body["choices"][0].update(logprobs=None)),
        "other_model": _changed(6, lambda body: body.update(model="another-model")),
        "no_format": _said(6, lambda text: "I prefer the first one."),
        "nul": _said(8, lambda text: f"{text}\0", passing=True),
        "lone_surrogate": _said(8, lambda text: f"{text} \ud83d", passing=True),
        "bom": _said(8, lambda text: f"\ufeff{text}"),
        "right_to_left": _said(8, lambda text: f"\u202e{text}\u200f"),
        "emoji": _said(8, lambda text: f"{text} \U0001f600"),
        "combining": _said(8, lambda text: f"{text} e\u0301\u0323"),
        "crlf": _said(8, lambda text: f"\r\n{text}\r\n"),
        "braces": _said(8, lambda text: f"{text} {{{{ output_1 }}}} {{0}} %s"),
        "megabyte": _said(8, lambda text: f"{text}\n" + "word " * 200_000),
        "50_megabytes": _said(8, lambda text: f"{text}\n" + "word " * 10_000_000),
    }
)

STORM: tuple[str, ...] = tuple(
    name
    for name, fault in FAULTS.items()
    if fault.passing and name not in ("429_120", "429_86400", "hang", "drip")
)
"""Faults that a patient client gets through, and that take no more than about a second each."""
