"""The key goes to the server and nowhere else, whatever the server does with it."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import pytest

from annotators.clients import OPENAI_URL, Endpoint, Reply, run_all
from annotators.clients.batch import BatchClient, BatchOptions
from annotators.clients.online import OnlineClient, OnlineOptions
from annotators.simulator.http import Handler, HttpReply, HttpRequest, Server, Wire
from db.errors import ConfigError, FarmError
from tests.support.simulated_provider import ONCE, QUICK, keeping, request

CANARY = "sk-canary-0123456789abcdef"


@contextmanager
def serving(handle: Handler) -> Iterator[str]:
    """A server of our own making; its base URL."""
    ready, stop = threading.Event(), asyncio.Event()
    found: list[object] = []

    async def main() -> None:
        server = Server(handle)
        found.extend([await server.listen("127.0.0.1", 0), asyncio.get_running_loop()])
        ready.set()
        await stop.wait()
        await server.close()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    ready.wait()
    port, loop = found
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        assert isinstance(loop, asyncio.AbstractEventLoop)
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def told(text: str) -> bytes:
    """A completion that says this."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"model": text, "choices": [choice]}).encode()


def echoes(request: HttpRequest) -> list[HttpReply]:
    """Every way in which a server might repeat what it was sent."""
    sent = request.headers["authorization"]
    error = json.dumps({"error": {"message": f"bad key {sent}", "code": sent}}).encode()
    return [
        HttpReply(200, told(f"your key is {sent}")),
        HttpReply(200, f"<html>{sent}</html>".encode(), "text/html"),
        HttpReply(200, f"{{{sent}".encode()),
        HttpReply(200, error),
        HttpReply(400, error),
        HttpReply(401, error),
        HttpReply(404, error),
        HttpReply(429, error.replace(b"bad key", b"insufficient_quota")),
        HttpReply(500, sent.encode(), "text/plain"),
        HttpReply(200, told(sent), wire=Wire.CUT),
        HttpReply(200, told(sent), wire=Wire.RESET_FIRST),
        HttpReply(302, headers={"location": f"http://127.0.0.1:1/{sent.replace(' ', '/')}"}),
    ]


@pytest.mark.parametrize("way", range(12))
def test_the_key_is_in_no_completion_error_log_or_repr(way: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sent: list[str] = []

    def handle(asked: HttpRequest) -> HttpReply:
        sent.append(asked.headers["authorization"])
        return echoes(asked)[way]

    traces: list[str] = []
    with serving(handle) as base_url:
        address = base_url.replace("http://", "http://someone:pa55-canary-word@") + "?key=canary-in-query"
        for endpoint in (Endpoint(base_url, CANARY), Endpoint(address, CANARY)):
            online = OnlineClient(endpoint, OnlineOptions(concurrency=2, retry=ONCE))
            batch = BatchClient(endpoint, BatchOptions("run", poll_seconds=0.001))
            delivered: list[Reply] = []
            for client in (online, batch) if way not in (4, 8, 9, 10) else (online,):
                try:
                    run_all(client, [request()], keeping(delivered))
                except FarmError as error:
                    traces += [str(error), repr(error), repr(error.args), str(error.__cause__)]
            traces += [json.dumps(asdict(each)) for each in delivered]
            traces += [
                repr(endpoint),
                str(endpoint),
                endpoint.name,
                repr(online.__dict__),
                repr(batch.__dict__),
            ]
    assert f"Bearer {CANARY}" in sent  # it did go to the server
    everything = "\n".join([*traces, caplog.text])
    assert everything
    assert "canary" not in everything


def test_user_name_and_password_are_sent_as_credentials() -> None:
    sent: list[HttpRequest] = []

    def handle(asked: HttpRequest) -> HttpReply:
        sent.append(asked)
        return HttpReply(200, told("fine"))

    with serving(handle) as base_url:
        address = base_url.replace("http://", "http://someone:p%40ss-word@")
        client = OnlineClient(Endpoint(address), OnlineOptions(concurrency=1, retry=QUICK))
        run_all(client, [request()], lambda asked, done: None)
    assert sent[0].headers["authorization"] == "Basic c29tZW9uZTpwQHNzLXdvcmQ="
    assert Endpoint(address).name == base_url


def test_an_address_is_shown_without_its_secrets() -> None:
    assert Endpoint("https://u:secret@host:8443/v1/?key=secret").name == "https://host:8443/v1?***"
    with pytest.raises(ConfigError) as error:
        Endpoint("ftp://u:secret@host/v1?key=secret")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("key", ["two words", "line\nend", "caf\u00e9-key-123", "tab\tkey"])
def test_a_key_that_is_none_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigError) as error:
        Endpoint(OPENAI_URL, key)
    assert key not in str(error.value)
    assert key not in repr(error.value)


@pytest.mark.parametrize(
    ("environ", "base_url", "key"),
    [
        ({"OPENAI_API_KEY": "o" * 20}, None, "o" * 20),
        ({"OPENAI_API_KEY": "o" * 20}, "https://api.openai.com/v1", "o" * 20),
        ({"OPENAI_API_KEY": "o" * 20}, "http://127.0.0.1:8000/v1", ""),
        ({"OPENAI_API_KEY": "o" * 20}, "https://api.openai.com.evil.example/v1", ""),
        ({"OPENAI_API_KEY": "o" * 20, "OPENAI_BASE_URL": "http://mine/v1"}, None, "o" * 20),
        ({"OPENAI_API_KEY": "o" * 20, "FARM_API_KEY": " f\n"}, None, "f"),
        ({"OPENAI_API_KEY": "o" * 20, "FARM_API_KEY": "f"}, "http://127.0.0.1:8000/v1", "f"),
        ({}, None, ""),
    ],
)
def test_openais_key_goes_to_openai_alone(environ: dict[str, str], base_url: str | None, key: str) -> None:
    endpoint = Endpoint.from_environment(base_url, environ)
    assert endpoint.api_key == key
    assert endpoint.base_url == (base_url or environ.get("OPENAI_BASE_URL") or OPENAI_URL)
