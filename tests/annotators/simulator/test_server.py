"""The simulated provider as a server: HTTP, accounts, books, schedules of faults, configuration."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

import openai
import pytest

from annotators.simulator import (
    FAULTS,
    STORM,
    BatchPlan,
    FaultPlan,
    Judge,
    Simulator,
    SimulatorConfig,
    request_key,
    serve,
    simulator_process,
)
from db.errors import ConfigError
from tests.support.simulated_provider import provider, request


def post(base_url: str, body: object, path: str = "chat/completions", **headers: str) -> tuple[int, Any]:
    """Status and JSON of a POST."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    asked = urllib.request.Request(
        f"{base_url}/{path}", data, {"content-type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(asked, timeout=5) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def raw(simulator: Simulator, data: bytes) -> bytes:
    """What comes back for these bytes on a connection of their own."""
    port = int(simulator.base_url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_the_sdk_understands_it() -> None:
    with (
        provider(models=("judge", "other")) as simulator,
        openai.OpenAI(api_key="none", base_url=simulator.base_url, max_retries=0) as sdk,
    ):
        body = request(max_tokens=1, top_logprobs=2).body()
        reply = sdk.chat.completions.create(**body)  # type: ignore[call-overload]
        assert [model.id for model in sdk.models.list()] == ["judge", "other"]
    assert reply.choices[0].message.content == "a"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 1
    top = reply.choices[0].logprobs.content[0].top_logprobs
    assert [each.token for each in top] == ["a", "b"]


def test_the_same_request_has_the_same_reply_whatever_the_order_of_its_keys() -> None:
    body = request(temperature=1.0).body()
    turned = dict(reversed(body.items()))
    assert request_key(body) == request_key(turned)
    with provider(judge=Judge(utility="random")) as simulator:
        assert post(simulator.base_url, body) == post(simulator.base_url, turned)
        bill = simulator.stats().bills[request_key(body)]
    assert (bill.hits, bill.billed) == (2, 2)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        [],
        {},
        {"model": "judge"},
        {"model": "judge", "messages": []},
        {"model": "", "messages": [{"role": "user", "content": "x"}]},
        {"model": "judge", "messages": ["x"]},
        {"model": "judge", "messages": [{"role": "user", "content": None}]},
        {"model": "judge", "messages": [{"role": "user", "content": "x"}], "stream": True},
    ],
)
def test_a_body_that_is_not_acceptable_is_a_400(body: object) -> None:
    with provider() as simulator:
        status, said = post(simulator.base_url, body)
        assert status == 400
        assert said["error"]["message"]
        assert simulator.stats().billed == 0


def test_a_reply_longer_than_max_tokens_is_cut() -> None:
    with provider(judge=Judge(utility="length", form="reasoned")) as simulator:
        status, said = post(simulator.base_url, request(max_tokens=5).body())
    assert status == 200
    assert said["choices"][0]["finish_reason"] == "length"
    assert said["choices"][0]["message"]["content"] == "Both outputs take up the"
    assert said["usage"]["completion_tokens"] == 5


def test_keys_are_checked_and_the_books_are_open() -> None:
    with provider(api_key="sk-right") as simulator:
        body = request().body()
        assert post(simulator.base_url, body)[0] == 401
        assert post(simulator.base_url, body, Authorization="Bearer sk-wrong")[0] == 401
        assert post(simulator.base_url, body, Authorization="Bearer sk-right")[0] == 200
        with urllib.request.urlopen(simulator.base_url.replace("/v1", "/stats")) as reply:
            books = json.load(reply)
    assert (books["hits"], books["billed"], books["requests"]) == (3, 1, 1)
    assert list(books["bills"]) == [request_key(body)]


def test_more_requests_than_are_granted_are_refused_for_a_while() -> None:
    with provider(requests_per_minute=120.0) as simulator:
        statuses = [post(simulator.base_url, request(n).body())[0] for n in range(4)]
        assert statuses == [200, 200, 200, 429]  # a second's worth at once, and the one that is due
        time.sleep(0.55)
        assert post(simulator.base_url, request(9).body())[0] == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /v1/models HTTP/1.1\r\n\r\n", b"200"),
        (b"GET /v1/nothing HTTP/1.1\r\n\r\n", b"404"),
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
        (b"GET /\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", b"411"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, b"431"),
    ],
)
def test_http_that_cannot_be_read_is_refused(sent: bytes, status: bytes) -> None:
    with provider() as simulator:
        assert raw(simulator, sent).startswith(b"HTTP/1.1 " + status)


def test_connections_are_kept_and_requests_may_be_sent_ahead() -> None:
    with provider(latency=0.01) as simulator:
        host = simulator.base_url.removeprefix("http://").removesuffix("/v1")
        connection = http.client.HTTPConnection(host, timeout=5)
        for number in range(3):
            connection.request("POST", "/v1/chat/completions", json.dumps(request(number).body()))
            assert connection.getresponse().read()
        connection.close()
        two = b"GET /v1/models HTTP/1.1\r\n\r\n" * 2
        port = int(host.split(":")[1])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            plain.sendall(two)
            got = b""
            while got.count(b"HTTP/1.1 200") < 2 or not got.endswith(b"}"):
                got += plain.recv(65536)


def test_a_judge_that_fails_is_a_500_and_not_the_end() -> None:
    def broken(instruction: str, input: str, output: str) -> float:
        raise RuntimeError("no opinion")

    with provider(judges={"broken": Judge(utility=broken)}) as simulator:
        host = simulator.base_url.removeprefix("http://").removesuffix("/v1")
        connection = http.client.HTTPConnection(host, timeout=5)
        connection.request("POST", "/v1/chat/completions", json.dumps(request(model="broken").body()))
        reply = connection.getresponse()
        assert (reply.status, reply.read()) == (500, b"RuntimeError: no opinion")
        connection.close()
        assert post(simulator.base_url, request().body())[0] == 200


def test_faults_come_at_their_rate_by_content_and_attempt() -> None:
    plan = FaultPlan(rate=0.3, names=("500", "html"), seed=3)
    drawn = [plan.draw(f"key {n}", attempt) for n in range(2000) for attempt in (1, 2)]
    counts = Counter(drawn)
    assert counts["500"] / 4000 == pytest.approx(0.15, abs=0.02)
    assert counts["html"] / 4000 == pytest.approx(0.15, abs=0.02)
    again = sum(bool(plan.draw(f"key {n}", 1)) and bool(plan.draw(f"key {n}", 2)) for n in range(2000))
    assert again / 2000 == pytest.approx(0.09, abs=0.02)  # one attempt tells nothing of the next
    assert drawn == [plan.draw(f"key {n}", attempt) for n in range(2000) for attempt in (1, 2)]


def test_a_script_comes_before_the_rate() -> None:
    plan = FaultPlan(script=("500", "", "html"), rate=1.0, names=("409",))
    assert [plan.draw("key", attempt) for attempt in (1, 2, 3, 4)] == ["500", "", "html", "409"]


def test_every_fault_has_its_group_and_the_storm_has_only_faults_that_pass() -> None:
    assert {fault.group for fault in FAULTS.values()} == {1, 2, 3, 4, 5, 6, 8}
    assert all(FAULTS[name].passing for name in STORM)
    assert len(STORM) > 25


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (SimulatorConfig(faults=FaultPlan(script=("429",))), "unknown fault '429'"),
        (SimulatorConfig(faults=FaultPlan(names=("500", "5OO"))), "unknown fault '5OO'"),
        (SimulatorConfig(faults=FaultPlan(rate=30.0)), "from 0 to 1"),
        (SimulatorConfig(judge=Judge(form="poem")), "unknown form 'poem'"),
        (SimulatorConfig(judges={"x": Judge(noise=-1.0)}), "noise is 0 or more"),
        (SimulatorConfig(judges={"x": Judge(utility="taste")}), "taste"),
        (SimulatorConfig(extractor="nowhere:extract"), "nowhere:extract"),
    ],
)
def test_what_does_not_exist_is_told_before_anything_is_served(config: SimulatorConfig, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Simulator(config)


def test_a_configuration_from_a_file() -> None:
    config = SimulatorConfig.from_mapping(
        {
            "judge": {"utility": "length", "noise": 1},
            "judges": {"other": {"utility": "table", "table": {"x": 2}, "position_bias": 0.5}},
            "models": ["judge", "other"],
            "faults": {"rate": 0.1, "names": ["500"], "script": ["", "html"]},
            "batch": {"outcome": "expired", "answered": 0.5, "strange_lines": True},
            "requests_per_minute": 60,
            "latency": 0.25,
        }
    )
    assert config == SimulatorConfig(
        judge=Judge(utility="length", noise=1.0),
        judges={"other": Judge(utility="table", table={"x": 2.0}, position_bias=0.5)},
        models=("judge", "other"),
        faults=FaultPlan(rate=0.1, names=("500",), script=("", "html")),
        batch=BatchPlan(outcome="expired", answered=0.5, strange_lines=True),
        requests_per_minute=60.0,
        latency=0.25,
    )
    assert config.judge_of("other").position_bias == 0.5
    assert config.judge_of("stranger").utility == "length"


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"latncy": 1}, "latncy"),
        ({"latency": "slow"}, "latency"),
        ({"latency": True}, "latency"),
        ({"judge": 3}, "judge"),
        ({"judge": {"noise": None}}, "noise"),
        ({"judges": {"a": {"tase": 1}}}, "tase"),
        ({"models": "judge"}, "models"),
        ({"batch": {"outcome": "lost"}}, "outcome"),
        ({"batch": {"strange_lines": 1}}, "strange_lines"),
        ([], "simulator"),
    ],
)
def test_a_wrong_configuration_says_where(data: Any, where: str) -> None:
    with pytest.raises(ConfigError, match=where):
        SimulatorConfig.from_mapping(data)


def test_a_port_that_is_taken_is_told() -> None:
    with provider() as simulator:
        port = int(simulator.base_url.split(":")[2].split("/")[0])
        with pytest.raises(ConfigError, match=f"{port} cannot be served"), Simulator(port=port):
            pass
        with pytest.raises(ConfigError, match=f"{port} cannot be served"):
            serve("127.0.0.1", port, SimulatorConfig())


@contextmanager
def begun(target: Callable[[Any], None]) -> Iterator[tuple[BaseProcess, Any, str]]:
    """A process that serves: it, our end of its pipe, and the base URL that it sent and that answers."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(there,))
    process.start()
    base_url = here.recv()
    assert post(base_url, request().body())[0] == 200
    yield process, here, base_url
    here.close()
    there.close()


def _serve(ready: Any) -> None:
    serve("127.0.0.1", 0, SimulatorConfig(judge=Judge(utility="length")), ready.send)


def test_the_command_serves_until_it_is_interrupted() -> None:
    with begun(_serve) as (process, _, _):
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        process.join(5)
        assert process.exitcode == 0


def _own_a_server(ready: Any) -> None:
    with simulator_process(SimulatorConfig(judge=Judge(utility="length"))) as base_url:
        ready.send(base_url)
        ready.recv()


@pytest.mark.parametrize("killed", [False, True])
def test_a_process_of_its_own_ends_with_its_owner_however_that_ends(killed: bool) -> None:
    with begun(_own_a_server) as (owner, here, base_url):
        if killed:
            owner.kill()
        else:
            here.send("enough")
        owner.join(20)
        for _ in range(200):
            try:
                post(base_url, request().body())
            except OSError:
                break
            time.sleep(0.05)
        else:
            pytest.fail("the server outlives its owner")


def test_a_process_is_not_begun_for_a_wrong_configuration() -> None:
    wrong = SimulatorConfig(judges={"x": Judge(utility="taste")})
    with pytest.raises(ConfigError, match="taste"), simulator_process(wrong):
        pass
