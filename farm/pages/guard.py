"""Middleware for our web pages: rejects cross-origin requests and adds a Content-Security-Policy."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress

import uvicorn
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db.errors import ConfigError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
WRITES = ("POST",)
READS = ("GET", "HEAD")


def is_local(host: str) -> bool:
    """Whether only this machine can reach an address to listen on."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_is_ours(header: str, bound: str) -> bool:
    """Whether a Host header names this page. bound: the host that the page listens on.

    Another site can let its name resolve to this machine (DNS rebinding), but the Host header still has that
    name, so only our own names pass. Where the page listens beyond this machine, a bare IP address passes
    too, because it is no name that could be rebound.
    """
    name = header.rsplit(":", 1)[0] if not header.endswith("]") else header
    name = name.removeprefix("[").removesuffix("]").lower()
    if name in LOOPBACK:
        return True
    if is_local(bound):
        return False
    if name in (bound.lower(), socket.gethostname().lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware: refuses a request with 403 for the reason of `refusal`, adds headers to every
    response.

    bound: the host that the page listens on. policy: the Content-Security-Policy.
    """

    def __init__(self, app: ASGIApp, bound: str, policy: str) -> None:
        self._app = app
        self._bound = bound
        self._headers = {
            "content-security-policy": policy,
            "x-frame-options": "DENY",
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=()",
            "cache-control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        reason = refusal(scope["method"], Headers(scope=scope), self._bound)
        app = PlainTextResponse(f"Refused: {reason}.\n", 403) if reason else self._app
        await app(scope, receive, guarded)


def refusal(method: str, headers: Headers, bound: str) -> str:
    """The reason to refuse a request, "" if there is none. bound: the host that the page listens on."""
    host = headers.get("host", "")
    if not host_is_ours(host, bound):
        return "this page is not known by that name; open the link as it was printed"
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "it comes from another site; copy the link into the address bar"
    if method in WRITES:
        if headers.get("origin") != f"http://{host}":
            return "a judgement comes from the page itself"
    elif method not in READS:
        return f"{method} does nothing here"
    return ""


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens on this host and port. Raises ConfigError where the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        remedy = "another --port, or 0 for a free one" if port else "another --host"
        raise ConfigError(f"cannot listen there: {error}", where=f"{host}:{port}", remedy=remedy) from None


def serve(app: ASGIApp, socket_: socket.socket) -> None:
    """Serve an app on a socket until Ctrl-C. There is no access log, because it would contain links'
    tokens."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=2,
    )
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[socket_])
