"""A small HTTP/1.1 server on asyncio, which is fast and can misbehave on the wire.

It knows keep-alive and Content-Length bodies, which API clients send. It knows no TLS and no chunked uploads
(411). The handler is a function from request to reply. A reply can be late, cut short, sent byte by byte,
reset, or never sent.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

MAX_HEAD = 2**16  # bytes
MAX_BODY = 2**28
_BACKLOG = 2048
DRIP_SECONDS = 0.02  # between two bytes of a dripped reply
log = logging.getLogger(__name__)


class Wire(StrEnum):
    """How a reply is put on the wire."""

    WHOLE = "whole"
    RESET_FIRST = "reset_first"  # connection reset before any byte
    RESET_AFTER_HEAD = "reset_after_head"
    CLOSE = "close"  # whole, and the connection ends
    CUT = "cut"  # the head promises more bytes than come
    DRIP = "drip"  # byte by byte
    HANG = "hang"  # nothing, for ever


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """path: without the query. headers: names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpReply:
    """delay: seconds before the first byte."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    wire: Wire = Wire.WHOLE

    def head(self) -> bytes:
        """The status line and the headers."""
        promised = len(self.body) + (100 if self.wire is Wire.CUT else 0)
        lines = [
            f"HTTP/1.1 {self.status} {_phrase(self.status)}",
            f"content-type: {self.content_type}",
            f"content-length: {promised}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


Handler = Callable[[HttpRequest], HttpReply]


class Server:
    """A listening socket and its connections."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._connections: set[Connection] = set()

    async def listen(self, host: str, port: int) -> int:
        """Accept connections from now on. Returns the port, a free one for 0. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handle, self._connections), host, port, backlog=_BACKLOG
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Accept no more, and end every connection."""
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)  # let the transports close


class Connection(asyncio.Protocol):
    """One connection. Requests are answered in turn: each reply is sent before the next request is read."""

    def __init__(self, handle: Handler, open_ones: set[Connection]) -> None:
        self._handle = handle
        self._open_ones = open_ones  # of the server; a connection adds and removes itself
        self._buffer = bytearray()
        self._busy = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open_ones.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport = None
        self._open_ones.discard(self)

    def abort(self) -> None:
        """End the connection, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._buffer += data
        self._advance()

    def _advance(self) -> None:
        """Answer the requests that have arrived in full."""
        while not self._busy and self._transport is not None:
            parsed = self._parse()
            if parsed is None:
                return
            reply = parsed if isinstance(parsed, HttpReply) else self._answer(parsed)
            self._busy = True
            if reply.delay > 0:
                asyncio.get_running_loop().call_later(reply.delay, self._send_later, reply)
                return
            self._send(reply)

    def _parse(self) -> HttpRequest | HttpReply | None:
        """The next request; None where it has not all arrived; a reply where it cannot be read."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if not self._buffer or (self._buffer[:1].isalpha() and len(self._buffer) <= MAX_HEAD):
                return None
            return self._unreadable(431 if len(self._buffer) > MAX_HEAD else 400)  # or TLS, or noise
        start, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        parts = start.split(" ")
        fields = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        length = headers.get("content-length", "0")
        if len(parts) != 3 or not length.isdecimal() or int(length) > MAX_BODY:
            return self._unreadable(400)
        if "transfer-encoding" in headers:
            return self._unreadable(411)
        whole = end + 4 + int(length)
        if len(self._buffer) < whole:
            if headers.get("expect", "").lower() == "100-continue" and len(self._buffer) == end + 4:
                self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        path, _, query = parts[1].partition("?")
        body = bytes(self._buffer[end + 4 : whole])
        del self._buffer[:whole]
        return HttpRequest(method=parts[0], path=path, query=query, headers=headers, body=body)

    def _unreadable(self, status: int) -> HttpReply:
        """The reply to what cannot be read. The connection ends with it, since what follows cannot be read
        either.
        """
        self._buffer.clear()
        return HttpReply(status, headers={"connection": "close"}, wire=Wire.CLOSE)

    def _answer(self, request: HttpRequest) -> HttpReply:
        try:
            return self._handle(request)
        except Exception as error:  # a fault of a judge must not take the server down with it
            log.exception("the handler failed")
            return HttpReply(500, f"{type(error).__name__}: {error}".encode(), "text/plain; charset=utf-8")

    def _send_later(self, reply: HttpReply) -> None:
        self._send(reply)
        self._advance()

    def _send(self, reply: HttpReply) -> None:
        if reply.wire is Wire.HANG:
            return  # and stay busy
        if reply.wire is Wire.RESET_FIRST:
            self._reset()
        elif reply.wire is Wire.RESET_AFTER_HEAD:
            self._write(reply.head())
            asyncio.get_running_loop().call_later(0.01, self._reset)
        elif reply.wire is Wire.DRIP:
            self._drip(reply.head() + reply.body, 0)
        else:
            self._write(reply.head() + reply.body)
            if reply.wire in (Wire.CUT, Wire.CLOSE) and self._transport is not None:
                self._transport.close()
            self._busy = False

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _drip(self, data: bytes, position: int) -> None:
        if self._transport is None:
            return
        if position == len(data):
            self._busy = False
            self._advance()
            return
        self._write(data[position : position + 1])
        asyncio.get_running_loop().call_later(DRIP_SECONDS, self._drip, data, position + 1)

    def _reset(self) -> None:
        """End the connection with RST, so that the client sees a reset."""
        if self._transport is None:
            return
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
