"""The HTTP transport of all our clients: checked addresses, our own credentials, bodies of a bounded size.

- A host is resolved here, and the address that was checked is the one that is dialled. The name stays in the
  Host header and in the TLS handshake.
- The headers that the SDK takes from the environment (organization, project, headers of the user's own)
  travel only where OPENAI_API_KEY may go.
- A body is unpacked as it comes and counted as it is unpacked.
- A proxy of the environment is used, but never for this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

import httpx2

from annotators.clients.addresses import forbids, is_loopback
from annotators.clients.sending import MAX_BODY
from db.errors import ConfigError

CONNECT_SECONDS = 10.0  # for the connection and the TLS handshake, at most
ERROR_BODY = 2**16  # bytes that are read of a body whose status is not 200
LARGE = 2**20  # bytes, beyond which a body waits for one of LARGE_AT_ONCE places
LARGE_AT_ONCE = 4  # in one client
_TRAVELS = frozenset(
    b"host accept accept-encoding connection content-type content-length transfer-encoding user-agent".split()
)
_OF_THE_SDK = b"x-stainless-"


class ForbiddenAddress(httpx2.RequestError):
    """The host resolves to an address at which no provider is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Travel:
    """What goes with a request. authorization, api_key: headers. trusted: the SDK's other headers go too.

    largest: bytes of an unpacked body at most. One byte more of it is read, as a sign that there is more.
    """

    authorization: str
    api_key: str = ""
    trusted: bool = False
    largest: int = MAX_BODY


def connect_seconds(timeout: float) -> float:
    """The time for a connection where a whole request has `timeout` seconds."""
    return min(timeout / 2, CONNECT_SECONDS)


@dataclass(frozen=True, slots=True)
class Shared:
    """What the pools of one client share. trust: certificates to believe. large: places for large bodies."""

    trust: ssl.SSLContext
    large: asyncio.Semaphore

    @classmethod
    def of_environment(cls) -> Shared:
        """Read the certificates. Raises ConfigError where the environment names a file that is none."""
        try:
            return cls(httpx2.create_ssl_context(), asyncio.Semaphore(LARGE_AT_ONCE))
        except (OSError, ssl.SSLError) as error:
            named = " and ".join(name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name))
            remedy = "name a file of certificates, or unset the variable"
            what = f"the certificates cannot be read: {error}"
            raise ConfigError(what, where=named or "TLS", remedy=remedy) from error


class GuardedTransport(httpx2.AsyncBaseTransport):
    """A transport to the server at `url`, through the environment's proxy where there is one for it.

    Raises ConfigError where the proxy cannot be used.
    """

    def __init__(self, url: httpx2.URL, travel: Travel, shared: Shared, limits: httpx2.Limits) -> None:
        proxy = _proxy_for(url)
        self._proxied = proxy is not None
        self._travel = travel
        self._large = shared.large
        self._addresses: dict[str, list[str]] = {}
        try:
            self._inner = httpx2.AsyncHTTPTransport(verify=shared.trust, limits=limits, proxy=proxy)
        except (ImportError, ValueError, httpx2.InvalidURL) as error:
            what = "the proxy that the environment names cannot be used"
            remedy = "name an http:// proxy, or list the server in NO_PROXY"
            if isinstance(error, ImportError):
                what, remedy = f"{what}: it speaks SOCKS", f"pip install 'httpx2[socks]', or {remedy}"
            raise ConfigError(what, where="ALL_PROXY, HTTP_PROXY or HTTPS_PROXY", remedy=remedy) from None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2. Raises ForbiddenAddress."""
        response = await self._sent(request, self._headers(request))
        limit = self._travel.largest + 1 if response.status_code == 200 else ERROR_BODY
        return httpx2.Response(
            response.status_code,
            headers=[(name, value) for name, value in response.headers.raw if name.lower() not in _PACKED],
            stream=_Counted(response, limit, self._large),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """See httpx2."""
        await self._inner.aclose()

    def _headers(self, request: httpx2.Request) -> list[tuple[bytes, bytes]]:
        travel = self._travel
        kept = [
            (name, value)
            for name, value in request.headers.raw
            if travel.trusted or name.lower() in _TRAVELS or name.lower().startswith(_OF_THE_SDK)
        ]
        kept = [(name, value) for name, value in kept if name.lower() != b"authorization"]
        own = [(b"Authorization", travel.authorization.encode())]
        return [*kept, *own, *([(b"api-key", travel.api_key.encode())] if travel.api_key else [])]

    async def _sent(self, request: httpx2.Request, headers: list[tuple[bytes, bytes]]) -> httpx2.Response:
        """The response, with a body that was not read yet, from the first address that takes a connection."""
        host, name = request.url.host, request.url.raw_host.decode("ascii")
        places = [host] if self._proxied else await self._places(host, request.url.port)
        for number, place in enumerate(places, 1):
            extensions = request.extensions if place == host else request.extensions | {"sni_hostname": name}
            dialled = httpx2.Request(
                request.method,
                request.url.copy_with(host=place),
                headers=headers,
                stream=request.stream,
                extensions=extensions,
            )
            try:
                response = await self._inner.handle_async_request(dialled)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if number == len(places):
                    self._addresses.pop(host, None)
                    raise
            else:
                places.insert(0, places.pop(number - 1))
                return response
        raise httpx2.ConnectError(f"{host} has no address")

    async def _places(self, host: str, port: int | None) -> list[str]:
        """The addresses of the host, that which answered last at the front."""
        if host not in self._addresses:
            self._addresses[host] = await _resolve(host, port)
        return self._addresses[host]


class _Counted(httpx2.AsyncByteStream):
    """The unpacked body of a response, cut at `limit` bytes."""

    def __init__(self, response: httpx2.Response, limit: int, large: asyncio.Semaphore) -> None:
        self._response = response
        self._limit = limit
        self._large = large

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._limit
        async with contextlib.AsyncExitStack() as held:
            parts = await held.enter_async_context(contextlib.aclosing(self._response.aiter_bytes()))
            async for part in parts:
                read = self._limit - left
                if read <= LARGE < read + len(part):
                    await held.enter_async_context(self._large)
                yield part[:left]
                left -= len(part)
                if left <= 0:
                    return

    async def aclose(self) -> None:
        await self._response.aclose()


async def _resolve(host: str, port: int | None) -> list[str]:
    """The addresses of a host, in the order in which to try them.

    Raises ForbiddenAddress where one of them is link-local or a metadata service, and ConnectError where
    there is none.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx2.ConnectError(str(error)) from error
    addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
    for address in addresses:
        if forbids(ipaddress.ip_address(address)):
            raise ForbiddenAddress(f"{host} is at {address}, where clouds keep their machines' credentials")
    return addresses


_PACKED = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


def _proxy_for(url: httpx2.URL) -> str | None:
    """The proxy that the environment names for this address; None for this machine."""
    if is_loopback(url.host) or proxy_bypass(url.host):
        return None
    named = getproxies()
    proxy = named.get(url.scheme) or named.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy
