"""What is asked of a judge, what comes of it, and the two protocols between them.

A `Request` is everything that can change the reply. Its `key` is its identity. A `Reply` is everything that
came of asking, over all sendings of the request. A failure is data with a name (see failures.py), never an
exception. The ledger stores a reply as a completion. Neither class knows the API key, the concurrency or the
time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Protocol, TypeAlias

from annotators.prices import Usage
from db.errors import ConfigError
from db.ids import Json, content_hash

_OWN_FIELDS = frozenset(
    {"model", "messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop"}
    | {"logprobs", "top_logprobs", "response_format", "n", "stream"}
)


class Role(StrEnum):
    """Who speaks in a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class RequestDecoding:
    """How the reply is drawn. None leaves the choice to the server. A request has one reply (n = 1)."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    top_logprobs: int | None = None  # alternatives per position; asks for logprobs
    response_format: Mapping[str, Json] | None = field(default=None, hash=False)  # as the API writes it
    extra: Mapping[str, Json] = field(default_factory=dict, hash=False)  # such as reasoning_effort
    max_tokens_field: str = field(default="", compare=False)  # its name at this server, where one was chosen

    def __post_init__(self) -> None:
        if taken := sorted(_OWN_FIELDS & set(self.extra)):
            raise ConfigError(
                f"extra body fields may not be {', '.join(taken)}",
                where="decoding.extra",
                remedy="use the decoding option of that name; n is always 1, and nothing is streamed",
            )

    @property
    def wants_logprobs(self) -> bool:
        """Whether log-probabilities are asked for."""
        return self.logprobs or bool(self.top_logprobs)

    def with_thinking(self, tokens: int, effort: str) -> RequestDecoding:
        """The same with room for so many tokens of thinking, and with the effort where one is named."""
        longest = self.max_tokens and self.max_tokens + tokens
        extra = {**self.extra, "reasoning_effort": effort} if effort else self.extra
        return replace(self, max_tokens=longest, extra=extra)

    def body(self, replicate: int, max_tokens_field: str) -> dict[str, Json]:
        """The fields of the body for these settings.

        Replicate k is drawn with seed + k, so that servers which honour seeds draw anew. Without a seed,
        replicates after the first have the seed k.
        """
        seed = replicate or None if self.seed is None else self.seed + replicate
        fields: dict[str, Json] = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            max_tokens_field: self.max_tokens,
            "seed": seed,
            "stop": list(self.stop) or None,
            "logprobs": True if self.wants_logprobs else None,
            "top_logprobs": self.top_logprobs or None,
            "response_format": self.response_format,
        }
        return {**self.extra, **{name: value for name, value in fields.items() if value is not None}}


@dataclass(frozen=True)
class Request:
    """One call of one model.

    replicate: the number of the independent draw. endpoint: the server's clean base URL, where the same model
    name elsewhere is another model; empty where it is not. prompt: token ids to continue, for the completions
    API; it replaces the messages.
    """

    model: str
    messages: tuple[Message, ...]
    decoding: RequestDecoding = RequestDecoding()
    replicate: int = 0
    endpoint: str = ""
    prompt: tuple[int, ...] = ()

    @cached_property
    def key(self) -> str:
        """Identity: a hash of all that can change the reply, and of nothing else."""
        said = [[str(message.role), message.content] for message in self.messages]
        drawn = self.decoding.body(0, "max_tokens")
        asked: list[Json] = [self.endpoint, self.model, said, drawn, self.replicate]
        return content_hash("request", [*asked, list(self.prompt)] if self.prompt else asked)

    @property
    def path(self) -> str:
        """The path below the base URL."""
        return "/completions" if self.prompt else "/chat/completions"

    def body(self, max_tokens_field: str = "max_tokens") -> dict[str, Json]:
        """The body for `path`. Lone surrogates, which no server accepts, become U+FFFD."""
        if self.prompt:
            drawn = self.decoding.body(self.replicate, "max_tokens")
            return {"model": self.model, "prompt": list(self.prompt), **drawn}
        said = [{"role": str(each.role), "content": encodable(each.content)} for each in self.messages]
        return {"model": self.model, "messages": said, **self.decoding.body(self.replicate, max_tokens_field)}

    def body_bytes(self, max_tokens_field: str = "max_tokens") -> bytes:
        """The body as it goes on the wire: UTF-8 JSON."""
        text = json.dumps(self.body(max_tokens_field), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "replace")


def encodable(text: str) -> str:
    """The text with every lone surrogate replaced by U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One alternative for a token and its natural log-probability."""

    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request: a text, or a failure with a name, and what it cost.

    text: the answer as the server gave it, also for failures. thinking: what the model thought
    before it. Lone surrogates and NUL, which no file can hold, are escaped. top_logprobs: alternatives at the
    first positions. usage: over all sendings whose bill is known.
    unmetered: how many sendings may have been billed without our being told (time-outs, cut replies). cost:
    US dollars of `usage`; None where the price is unknown. cost_bound: the same with the unmetered sendings
    at their worst. seconds: latency of the last sending.
    """

    request_key: str
    text: str = ""
    thinking: str = ""
    finish_reason: str | None = None
    model: str | None = None  # as the server named it
    top_logprobs: tuple[tuple[TokenLogprob, ...], ...] = ()
    usage: Usage = field(default_factory=Usage)
    unmetered: int = 0
    cost: float | None = None
    cost_bound: float | None = None
    seconds: float = 0.0
    attempts: int = 0
    failure: str | None = None  # a name of failures.FAILURES
    detail: str = ""
    warnings: tuple[str, ...] = ()  # names of sending.WARNINGS

    @property
    def ok(self) -> bool:
        """Whether there is a usable reply."""
        return self.failure is None

    @property
    def status(self) -> str:
        """`ok` or `failed`."""
        return "ok" if self.ok else "failed"


BeforeSend = Callable[[Request, int], Awaitable[None]]
"""Awaited with (request, attempt from 1) before every sending that may be billed; may write a claim."""


async def send_unclaimed(request: Request, attempt: int) -> None:
    """A hook that writes no claim."""


Deliver = Callable[[Request, Reply], None]
"""Called once for each request that was sent, on one thread, in the order in which replies come."""

Commit = Callable[[], None]
"""Called when the replies that came together have been delivered, and before another request is sent in their
place: what was delivered until now is to be on disk when it returns."""


def keep_nothing() -> None:
    """The commit of a receiver that writes nothing."""


TURN = 0.001  # seconds; a signal takes several turns of the event loop until it cancels the run
Requests: TypeAlias = Iterator["Request | None"]
"""Requests in their order. None: there is nothing to send yet. Take them by `next_request`."""


async def next_request(requests: Requests) -> Request | None:
    """The next request; None at the end.

    The event loop has its turn wherever there is nothing to send yet, so that a signal is heard.
    """
    for request in requests:
        if request is not None:
            return request
        await asyncio.sleep(TURN)
    return None


class Client(Protocol):
    """Answers requests, many at once."""

    async def complete(self, request: Request) -> Reply:
        """The reply to a request. Raises RunStopped, before it is sent, where nothing may be sent."""
        ...


class Transport(Protocol):
    """Answers a stream of requests: online, or through the Batch API."""

    async def run(self, requests: Requests, deliver: Deliver, commit: Commit = keep_nothing) -> None:
        """Take requests as they can be sent, and deliver each reply. Raises RunStopped where it must stop
        early.
        """
        ...
