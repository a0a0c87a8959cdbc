"""Bodies out, whole responses back: POST to one server, over several pools of connections in turn.

The SDK says the address and the headers, once. What it does for each request, its models and its own copies
of request and response, takes as long as all the rest of a judgement, so its client does not send. Errors of
the wire are those of httpx2.

A pool looks through all its connections for each request, and asks the sockets of those at rest. So there are
many small pools.
"""

from __future__ import annotations

import math
from itertools import cycle

import httpx2

from annotators.clients.endpoint import Endpoint
from annotators.clients.transport import Shared, connect_seconds

POOL = 4  # requests in flight for each pool of connections


class Poster:
    """Posts to one server. One event loop uses it.

    at_once: requests in flight, about. timeout: seconds for each step on the socket, as of Endpoint.http.
    """

    def __init__(self, endpoint: Endpoint, *, at_once: int, timeout: float) -> None:
        shared = Shared.of_environment()
        self._transports = [
            endpoint.transport(connections=at_once, shared=shared) for _ in range(math.ceil(at_once / POOL))
        ]
        self._turns = cycle(self._transports)
        self._timeout = {"timeout": httpx2.Timeout(timeout, connect=connect_seconds(timeout)).as_dict()}
        sdk = endpoint.open(connections=1, timeout=timeout, shared=shared)
        self._base = sdk.base_url
        self._query = {name: str(value) for name, value in sdk.default_query.items()}
        said = {name: value for name, value in sdk.default_headers.items() if isinstance(value, str)}
        self._headers = httpx2.Headers(said)
        self._urls: dict[str, httpx2.URL] = {}

    async def post(self, path: str, body: bytes) -> httpx2.Response:
        """The response, read to its end. path: below the base URL. body: JSON."""
        request = httpx2.Request(
            "POST", self._url(path), headers=self._headers, content=body, extensions=self._timeout
        )
        response = await next(self._turns).handle_async_request(request)
        try:
            await response.aread()
        finally:
            await response.aclose()
        response.stream = httpx2.ByteStream(b"")  # a stream that knows its response keeps the body alive
        return response

    async def close(self) -> None:
        """Close every connection."""
        for transport in self._transports:
            await transport.aclose()

    def _url(self, path: str) -> httpx2.URL:
        if path not in self._urls:
            raw = self._base.raw_path + path.lstrip("/").encode()
            url = self._base.copy_with(raw_path=raw)
            self._urls[path] = url.copy_merge_params(self._query) if self._query else url
        return self._urls[path]
