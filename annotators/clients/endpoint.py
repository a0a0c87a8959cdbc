"""Where a server is, and how we prove who we are: an address that can be shown, and a key that cannot.

The key is in no field that is printed, logged, stored or hashed. It is blanked out of all that a server says.
An address begins with http or https. Its user name and password are sent as credentials and never shown.
"""

from __future__ import annotations

import base64
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from annotators.clients.addresses import is_forbidden
from annotators.clients.sending import MAX_BODY
from db.errors import ConfigError

if TYPE_CHECKING:
    import httpx2
    import openai

    from annotators.clients.transport import GuardedTransport, Shared

OPENAI_URL = "https://api.openai.com/v1"
for _name in ("httpx2", "httpcore2"):  # they log addresses with their query, and raw response headers
    if logging.getLogger(_name).level == logging.NOTSET:
        logging.getLogger(_name).setLevel(logging.WARNING)

_SHORTEST_SECRET = 8  # shorter dummies ("none", "test") are no secrets, and occur in ordinary text
_MASK = "***"


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server. base_url: as the user gave it. Show `name` instead of it."""

    base_url: str = field(default=OPENAI_URL, repr=False)
    api_key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        parts = _split(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                "a base URL begins with http:// or https:// and names a host",
                where=f"--base-url {_clean(parts, mask=True)}",
                remedy="for example http://127.0.0.1:8000/v1",
            )
        if is_forbidden(parts.hostname):
            raise ConfigError(
                "no provider is at this address: clouds keep their machines' credentials there",
                where=f"--base-url {_clean(parts, mask=True)}",
                remedy="give the server's own name or address",
            )
        if not (self.api_key.isascii() and self.api_key.isprintable() and " " not in self.api_key):
            raise ConfigError(
                "the API key has characters that no key has", remedy="look for quotes, spaces and line ends"
            )

    @classmethod
    def from_environment(
        cls, base_url: str | None = None, environ: Mapping[str, str] = os.environ
    ) -> Endpoint:
        """The server at base_url (or at OPENAI_BASE_URL, or OpenAI's) with the key that belongs to it.

        FARM_API_KEY is sent to any server. OPENAI_API_KEY is sent to OpenAI and to the OPENAI_BASE_URL that
        was set with it, and to no other host.
        """
        usual = environ.get("OPENAI_BASE_URL") or OPENAI_URL
        url = base_url or usual
        key = environ.get("FARM_API_KEY", "")
        if not key and _is_usual(url, environ):
            key = environ.get("OPENAI_API_KEY", "")
        return cls(url, key.strip())

    @property
    def name(self) -> str:
        """The address as it may be shown and stored: no user name, no password, no query values."""
        return _clean(_split(self.base_url), mask=True)

    @property
    def max_tokens_field(self) -> str:
        """The server's name for the longest reply. OpenAI's newer models refuse the older name."""
        at_openai = _split(self.base_url).hostname == _split(OPENAI_URL).hostname
        return "max_completion_tokens" if at_openai else "max_tokens"

    def hide(self, text: str) -> str:
        """The text without our secrets, in case the server repeats them, escaped or not."""
        return self._secret.sub(_MASK, text) if self._secret else text

    def hide_bytes(self, body: bytes) -> bytes:
        """The same for a raw body."""
        if not self._secret:
            return body
        return re.sub(self._secret.pattern.encode(), _MASK.encode(), body)

    @cached_property
    def _secret(self) -> re.Pattern[str] | None:
        """What matches each of our secrets, with any of its characters escaped as JSON, PHP or URLs do."""
        parts = _split(self.base_url)
        secrets = [self.api_key, unquote(parts.password or ""), parts.password or ""]
        if parts.username:
            secrets.append(self._authorization.removeprefix("Basic ").rstrip("="))
        long = sorted({each for each in secrets if len(each) >= _SHORTEST_SECRET}, key=len, reverse=True)
        return re.compile("|".join("".join(map(_spellings, each)) for each in long)) if long else None

    def http(
        self,
        *,
        connections: int,
        timeout: float,
        shared: Shared | None = None,
        largest: int = MAX_BODY,
    ) -> httpx2.AsyncClient:
        """An HTTP client for one event loop: no redirects, one pool of connections, our own credentials.

        timeout: seconds for each step on the socket; for the connection half of it, and 10 at most. shared:
        what the pools of one client have in common. largest: bytes of an unpacked body at most.
        """
        import httpx2

        from annotators.clients.transport import connect_seconds

        return httpx2.AsyncClient(
            transport=self.transport(connections=connections, shared=shared, largest=largest),
            timeout=httpx2.Timeout(timeout, connect=connect_seconds(timeout)),
            follow_redirects=False,
            trust_env=False,
        )

    def transport(
        self, *, connections: int, shared: Shared | None = None, largest: int = MAX_BODY
    ) -> GuardedTransport:
        """One pool of connections with our own credentials, for one event loop. The rest is as of `http`."""
        import httpx2

        from annotators.clients.transport import GuardedTransport, Shared, Travel

        travel = Travel(
            authorization=self._authorization,
            api_key=self.api_key if "api-version" in self._query else "",  # where Azure looks for it
            trusted=_is_usual(self.base_url, os.environ),
            largest=largest,
        )
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        url = httpx2.URL(self.address)
        return GuardedTransport(url, travel, shared=shared or Shared.of_environment(), limits=limits)

    def open(
        self,
        *,
        connections: int,
        timeout: float,
        shared: Shared | None = None,
        largest: int = MAX_BODY,
    ) -> openai.AsyncOpenAI:
        """An SDK client for one event loop, over the client of `http`: no retries."""
        import openai

        http = self.http(connections=connections, timeout=timeout, shared=shared, largest=largest)
        return openai.AsyncOpenAI(
            api_key=self.api_key or "none",
            base_url=_without_query(self.address),
            default_query=self._query,
            max_retries=0,
            timeout=http.timeout,
            http_client=http,
        )

    @property
    def address(self) -> str:
        """The address without user name and password. Its query may hold secrets: show `name` instead."""
        return _clean(_split(self.base_url), mask=False)

    @property
    def _query(self) -> dict[str, str]:
        return dict(parse_qsl(_split(self.base_url).query, keep_blank_values=True))

    @property
    def _authorization(self) -> str:
        """The Authorization header: user name and password of the address, or the key."""
        parts = _split(self.base_url)
        if not parts.username:
            return f"Bearer {self.api_key or 'none'}"
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _without_query(address: str) -> str:
    """The address up to its query, without the path of the chat API, which the client appends itself."""
    parts = _split(address)
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _is_usual(url: str, environ: Mapping[str, str]) -> bool:
    """Whether the address is OpenAI's or that of OPENAI_BASE_URL, to which OPENAI_API_KEY belongs."""
    usual = environ.get("OPENAI_BASE_URL") or OPENAI_URL
    return _split(url).hostname in {_split(usual).hostname, _split(OPENAI_URL).hostname}


def _spellings(character: str) -> str:
    """A pattern of the character itself, its JSON escape at any depth, and its percent-encoding."""
    code = f"{ord(character):04x}"
    wide = "".join(f"[{each}{each.upper()}]" if each.isalpha() else each for each in code)
    percent = "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))
    return rf"(?:\\+u{wide}|\\*{re.escape(character)}|{percent}|{percent.lower()})"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return SplitResult("", "", "", "", "")
    return parts


def _clean(parts: SplitResult, *, mask: bool) -> str:
    """The address without user name and password. mask: without the values of its query, too."""
    host = parts.netloc.rpartition("@")[2]
    query = _MASK if mask and parts.query else parts.query
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), query, ""))
