"""How one server wants its requests: the fields that it refuses, as its refusals tell or the user chose.

A field that is refused is left out from then on, and the completion says so in its warnings. So the request
keeps its identity, which is what was wanted, and the ledger tells what was really sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from annotators.clients.request import Request, Role
from annotators.clients.sending import Sending
from db.errors import ConfigError
from db.ids import Json

SYSTEM = "system"
EXTRA = "extra"
LONGEST = ("max_tokens", "max_completion_tokens")
_BY_NAME: Mapping[str, str] = MappingProxyType(
    {
        "temperature": r"temperature",
        "top_p": r"\btop[_ -]?p\b",
        "seed": r"\bseed\b",
        "stop": r"\bstop\b",
        "logprobs": r"log[_ ]?prob",
        "response_format": r"response[_ ]?(?:format|schema)|json[_ ](?:mode|schema|object)|structured output",
        SYSTEM: r"system['\"`]? (?:role|message|prompt|instruction)|role[^.\n]{0,30}system"
        r"|developer instruction|\[0\]\.role",
        "stream_options": r"stream_options",
    }
)
FIELDS = ("temperature", "top_p", "seed", "stop", "logprobs", "response_format", SYSTEM, EXTRA)
"""What may be left out. `logprobs` means `top_logprobs` too, `extra` all fields of decoding.extra."""
_SENT_AS = {"logprobs": ("logprobs", "top_logprobs")}
_NOT_KNOWN = (
    r"unsupported|not support|unknown|unrecogni[sz]ed|not permitted|extra[_ ](?:input|forbid|field)"
    r"|not allowed|unexpected|cannot find field"
)
_REFUSES_NAME = re.compile(rf"{_NOT_KNOWN}|\buse ['\"`]?max_", re.IGNORECASE)
_REFUSES = re.compile(
    rf"{_NOT_KNOWN}|not (?:be )?(?:enabled|available|accepted|valid|recogni|implement|defined)|invalid"
    r"|deprecated|disabled|cannot|forbid|only|must|no such|remove|unavailable|does not",
    re.IGNORECASE,
)
_WANTS_STREAM = re.compile(
    r"only supports? (?:the )?stream|stream[^.\n]{0,40}(?:required|must|only|true)|non-streaming"
    r"|(?:must|enable|set)[^.\n]{0,20} stream",
    re.IGNORECASE,
)
_REFUSALS = ("bad_request", "forbidden", "error_body", "server_error")


def without_problems(names: Iterable[str]) -> list[str]:
    """What is wrong with names of fields to leave out, one clause each."""
    known = ", ".join(FIELDS)
    return [f"no field {name!r} can be left out (known: {known})" for name in names if name not in FIELDS]


class RefusedField(NamedTuple):
    """A field that a server refuses, and the dialect that does without it."""

    field: str
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is sent to one server. longest: its name for the longest reply; swapped: as its refusal told.

    without: names of FIELDS that are left out. stream: it answers in a stream alone.
    """

    longest: str = LONGEST[0]
    without: frozenset[str] = frozenset()
    swapped: bool = False
    stream: bool = False

    def __post_init__(self) -> None:
        if problems := without_problems(self.without - {"stream_options"}):
            raise ConfigError("; ".join(problems), where="--without")

    def body(self, request: Request) -> dict[str, Json]:
        """The body of a request, as this server takes it."""
        chosen = request.decoding.max_tokens_field
        body = request.body(chosen if chosen and not self.swapped else self.longest)
        left_out = {key for name in self.without for key in _SENT_AS.get(name, (name,))}
        left_out |= set(request.decoding.extra) if EXTRA in self.without else set()
        if self.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if SYSTEM in self.without and "messages" in body:
            body["messages"] = _without_system(request)
        return {key: value for key, value in body.items() if key not in left_out}

    def body_bytes(self, request: Request) -> bytes:
        """The body as it goes on the wire: UTF-8 JSON."""
        text = json.dumps(self.body(request), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "replace")

    def lost(self, request: Request) -> tuple[str, ...]:
        """The names of the warnings for what a request asks and this server is not told."""
        if not self.without:
            return ()
        whole = request.body()
        return tuple(
            f"without_{name}" for name in FIELDS if name in self.without and _asks(request, whole, name)
        )

    def heeding(self, request: Request, sending: Sending) -> RefusedField | None:
        """What a refusal tells of the dialect; None where it tells nothing new."""
        if sending.failure not in _REFUSALS or not _REFUSES.search(sending.detail):
            return None
        said, sent = sending.detail, self.body(request)
        if not self.stream and _WANTS_STREAM.search(said):
            return RefusedField("single replies", replace(self, stream=True))
        found = [(match.start(), name) for name, match in _named(request, sent, said)]
        for _, name in sorted(found):
            if sending.failure == "server_error" and name != SYSTEM:
                continue  # a server may be out of order; only a template raises such an error for a role
            if name not in LONGEST:
                return RefusedField(name, replace(self, without=self.without | {name}))
            if not self.swapped and _REFUSES_NAME.search(said):
                other = LONGEST[LONGEST[0] == name]
                return RefusedField(name, replace(self, longest=other, swapped=True))
            return None
        return None

    def joined(self, other: Dialect) -> Dialect:
        """What both know of the same server."""
        newer = other if other.swapped else self
        return replace(newer, without=self.without | other.without, stream=self.stream or other.stream)


def _named(request: Request, sent: Mapping[str, Json], said: str) -> Iterator[tuple[str, re.Match[str]]]:
    """The fields of a body that a refusal names, with the places where it does."""
    for name, pattern in _BY_NAME.items():
        there = _asks(request, sent, name) if name != SYSTEM else _has_system(sent)
        if there and (match := re.search(pattern, said, re.IGNORECASE)):
            yield name, match
    for name in LONGEST:
        if name in sent and (match := re.search(_any_case(name), said, re.IGNORECASE)):
            yield name, match
    for key in request.decoding.extra:
        if key in sent and (match := re.search(_any_case(key), said, re.IGNORECASE)):
            yield EXTRA, match


def _any_case(name: str) -> str:
    """A pattern for a name in snake_case or camelCase."""
    return rf"\b{re.escape(name).replace('_', '_?')}\b"


def _asks(request: Request, body: Mapping[str, Json], name: str) -> bool:
    """Whether a body has a field, by a name of FIELDS."""
    if name == SYSTEM:
        return _has_system(body)
    if name == EXTRA:
        return any(key in body for key in request.decoding.extra)
    return any(key in body for key in _SENT_AS.get(name, (name,)))


def _has_system(body: Mapping[str, Json]) -> bool:
    messages = body.get("messages")
    return isinstance(messages, list) and any(
        isinstance(each, dict) and each.get("role") == SYSTEM for each in messages
    )


def _without_system(request: Request) -> list[Json]:
    """The messages with the system's text at the head of the first message of the user."""
    said = request.body()["messages"]
    assert isinstance(said, list)
    system = [str(each["content"]) for each in said if isinstance(each, dict) and each["role"] == SYSTEM]
    others = [dict(each) for each in said if isinstance(each, dict) and each["role"] != SYSTEM]
    for each in others:
        if system and each["role"] == str(Role.USER):
            each["content"] = "\n\n".join([*system, str(each["content"])])
            break
    return [*others]
