"""The online client against real sockets: every fault has its name, and the books agree with the server's."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from annotators.clients import (
    Endpoint,
    KeyRefused,
    NotFound,
    ProviderDown,
    QuotaExhausted,
    Reply,
    Request,
    RetryPolicy,
    run_all,
)
from annotators.clients.online import FIRST_CONTACT, PATIENCE, REFUSALS, OnlineClient, OnlineOptions
from annotators.simulator import FAULTS, FaultPlan, Judge
from db.errors import ConfigError, LedgerFull
from tests.support.simulated_provider import ONCE, QUICK, ask, keeping, provider, request

CALM = "a"

NAMES = {
    **{name: "rate_limited" for name in FAULTS if name.startswith("429")},
    **dict.fromkeys(("500", "500_html", "502_html", "503_html", "529"), "server_error"),
    **{name: name for name in ("html", "no_choices", "refusal", "length", "content_filter", "tool_calls")},
    **{name: name for name in ("nul", "lone_surrogate", "empty_text")},
    **dict.fromkeys(("other_shape", "list"), "wrong_shape"),
    **dict.fromkeys(("reset_first", "reset_after_head", "cut"), "connection_lost"),
    **dict.fromkeys(("drip", "hang"), "timeout"),
    "408": "gateway_timeout",
    "409": "conflict",
    "302": "redirected",
    "empty": "empty_body",
    "truncated": "invalid_json",
    "error_object": "error_body",
    "null": "null_content",
    "white_space": "empty_text",
    "400_filter": "prompt_filtered",
    "400_length": "context_length",
    "50_megabytes": "oversized",
}
STOPS = {"quota": QuotaExhausted, "401": KeyRefused, "404": NotFound}
KEPT = [name for name in FAULTS if name not in NAMES and name not in STOPS]
TOLD_LESS = ("408",)  # may have been billed, as far as a client can tell


@pytest.mark.parametrize("fault", [name for name in NAMES if name != "50_megabytes"])
def test_every_fault_is_a_failure_with_a_name_and_is_booked(fault: str) -> None:
    with provider() as calm:
        cost = ask(calm, [request()])[request()].usage.total
    with provider(fault) as simulator:
        completion = ask(simulator, [request()], retry=ONCE, timeout=0.3)[request()]
        stats = simulator.stats()
    assert completion.failure == NAMES[fault]
    assert completion.attempts == stats.hits == 1
    assert not completion.ok
    told = completion.usage.total + completion.unmetered * cost
    billed = stats.prompt_tokens + stats.completion_tokens
    assert told == billed if fault not in TOLD_LESS else told > billed


@pytest.mark.parametrize("fault", [name for name in NAMES if FAULTS[name].passing and "_8" not in name])
def test_what_passes_is_tried_again_and_ends_well(fault: str) -> None:
    with provider(fault) as simulator:
        retry = RetryPolicy(
            first_wait=0.01, longest_wait=1.2 if "date" in fault or fault == "429_1" else 0.05
        )
        completion = ask(simulator, [request()], retry=retry, timeout=0.3)[request()]
        stats = simulator.stats()
    assert completion.ok
    assert completion.text == CALM
    assert completion.attempts == stats.hits == 2
    assert stats.billed == (2 if FAULTS[fault].billed else 1)


@pytest.mark.parametrize(
    "fault", ["refusal", "length", "content_filter", "tool_calls", "400_filter", "400_length"]
)
def test_what_does_not_pass_is_not_tried_again(fault: str) -> None:
    with provider(fault) as simulator:
        completion = ask(simulator, [request()])[request()]
        assert simulator.stats().hits == completion.attempts == 1


@pytest.mark.parametrize("fault", KEPT)
def test_hard_text_and_ignored_options_are_completions_all_the_same(fault: str) -> None:
    with provider(fault) as simulator:
        completion = ask(simulator, [request()], timeout=5.0)[request()]
    assert completion.ok
    assert completion.attempts == 1
    completion.text.encode()


def test_a_redirect_is_not_followed() -> None:
    with provider("302", "302", "302") as simulator:
        assert ask(simulator, [request()])[request()].failure == "redirected"
        assert simulator.stats().hits == 1


def test_the_servers_own_name_for_the_model_is_kept() -> None:
    with provider("other_model") as simulator:
        completion = ask(simulator, [request()])[request()]
    assert completion.model == "another-model"
    assert completion.warnings == ("other_model",)


def test_a_bill_that_does_not_come_is_said_to_be_missing() -> None:
    with provider("no_usage") as simulator:
        completion = ask(simulator, [request()])[request()]
    assert completion.ok
    assert completion.warnings == ("usage_missing",)
    assert completion.unmetered == 1


def test_paid_attempts_are_fewer_than_free_ones() -> None:
    with provider(*["null"] * 10) as simulator:
        completion = ask(simulator, [request()])[request()]
    assert (completion.failure, completion.attempts) == ("null_content", QUICK.paid_attempts)
    with provider(*["500"] * 10) as simulator:
        completion = ask(simulator, [request()])[request()]
    assert (completion.failure, completion.attempts) == ("server_error", QUICK.attempts)


@pytest.mark.parametrize("fault", STOPS)
def test_some_failures_stop_the_run_at_once_and_the_next_run_goes_on(fault: str) -> None:
    asked = [request(number) for number in range(200)]
    delivered: dict[str, Reply] = {}
    with provider(fault) as simulator:

        def run(requests: list[Request]) -> None:
            client = OnlineClient(Endpoint(simulator.base_url), OnlineOptions(concurrency=10, retry=QUICK))
            run_all(client, requests, lambda each, done: delivered.__setitem__(each.key, done))

        with pytest.raises(STOPS[fault]) as stopped:
            run(asked)
        assert str(stopped.value).startswith(simulator.base_url)
        hits = simulator.stats().hits
        assert hits <= 10
        assert hits == len(delivered)  # every request that was sent has been accounted for
        for _ in range(40):  # the simulator refuses each request once
            if any(each.key not in delivered or not delivered[each.key].ok for each in asked):
                try:
                    run([each for each in asked if each.key not in delivered or not delivered[each.key].ok])
                except STOPS[fault]:
                    continue
        assert all(delivered[each.key].ok for each in asked)


def test_one_refused_request_stops_a_run_of_one() -> None:
    with provider("quota") as simulator, pytest.raises(QuotaExhausted, match="run the same command again"):
        ask(simulator, [request()])


def test_an_unknown_model_is_asked_for_once_not_for_ever() -> None:
    with provider(models=("judge",)) as simulator:
        with pytest.raises(NotFound, match="retired"):
            ask(simulator, [request(model="text-davinci-003")])
        assert simulator.stats().hits == 1


def test_a_server_that_is_down_stops_the_run() -> None:
    faults = FaultPlan(rate=1.0, names=("503_html",))
    with provider(faults=faults) as simulator:
        with pytest.raises(ProviderDown, match="503"):
            ask(simulator, (request(n) for n in range(1000)), retry=ONCE)
        assert PATIENCE <= simulator.stats().hits <= PATIENCE + 20


def test_a_server_that_always_says_wait_stops_the_run() -> None:
    faults = FaultPlan(rate=1.0, names=("429_86400",))
    retry = RetryPolicy(attempts=20, longest_wait=0.02)
    with provider(faults=faults) as simulator:
        with pytest.raises(ProviderDown, match=f"{REFUSALS} times in a row all were told to wait"):
            ask(simulator, (request(n) for n in range(1000)), retry=retry, concurrency=10)
        assert simulator.stats().hits <= 10 + REFUSALS


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_nobody_at_the_address_is_no_bill() -> None:
    with provider() as simulator:
        for url in (f"http://127.0.0.1:{closed_port()}/v1", simulator.base_url.replace("http:", "https:")):
            completion = ask(simulator, [request()], endpoint=Endpoint(url))[request()]
            assert completion.failure == "unreachable"
            assert completion.attempts == FIRST_CONTACT
            assert completion.unmetered == 0


def test_the_claim_is_written_before_every_sending() -> None:
    claims: list[tuple[str, int]] = []
    with provider("500", "null") as simulator:

        async def claim(asked: Request, attempt: int) -> None:
            assert simulator.stats().hits == len(claims)  # nothing was sent before its claim
            await asyncio.sleep(0.001)
            claims.append((asked.key, attempt))

        done = ask(simulator, [request(n) for n in range(3)], before_send=claim, concurrency=1)
        assert simulator.stats().hits == len(claims) == 9
    assert [attempt for _, attempt in claims] == [1, 2, 3] * 3
    assert [completion.attempts for completion in done.values()] == [3, 3, 3]


def test_a_claim_that_cannot_be_written_is_not_followed_by_a_sending() -> None:
    async def claim(asked: Request, attempt: int) -> None:
        raise LedgerFull("the disk is full")

    with provider() as simulator:
        with pytest.raises(LedgerFull):
            ask(simulator, [request(n) for n in range(30)], before_send=claim)
        assert simulator.stats().hits == 0


def test_an_error_of_the_receiver_ends_the_run_and_is_raised() -> None:
    with provider(latency=0.02) as simulator:
        client = OnlineClient(Endpoint(simulator.base_url), OnlineOptions(concurrency=5))

        def receive(asked: Request, completion: Reply) -> None:
            raise LedgerFull("the disk is full")

        with pytest.raises(LedgerFull):
            run_all(client, (request(n) for n in range(1000)), receive)
        assert simulator.stats().hits <= 10


def test_requests_are_pulled_as_they_are_needed() -> None:
    pulled = answered = most = 0

    def requests() -> Iterator[Request]:
        nonlocal pulled, most
        for number in range(300):
            pulled += 1
            most = max(most, pulled - answered)
            yield request(number)

    def receive(asked: Request, completion: Reply) -> None:
        nonlocal answered
        answered += 1

    with provider() as simulator:
        client = OnlineClient(Endpoint(simulator.base_url), OnlineOptions(concurrency=8))
        run_all(client, requests(), receive)
    assert answered == 300
    assert most <= 8


def test_one_client_serves_one_run_after_the_other() -> None:
    with provider() as simulator:
        client = OnlineClient(Endpoint(simulator.base_url), OnlineOptions(concurrency=4))
        for _ in range(3):
            answers: list[Reply] = []
            run_all(client, [request(n) for n in range(10)], keeping(answers))
            assert [each.ok for each in answers] == [True] * 10


def test_a_single_completion_within_ones_own_loop() -> None:
    async def main(base_url: str) -> Reply:
        async with OnlineClient(Endpoint(base_url)) as client:
            return await client.complete(request())

    with provider(latency=0.05) as simulator:
        completion = asyncio.run(main(simulator.base_url))
    assert completion.text == CALM
    assert completion.request_key == request().key
    assert 0.05 <= completion.seconds < 2.0


def test_cached_tokens_are_kept_and_cheaper() -> None:
    from annotators.prices import Price

    price = Price(input=10.0, output=0.0, cached_input=1.0)
    with provider(cached_share=0.5) as simulator:
        completion = ask(simulator, [request()], price=lambda model: price)[request()]
    usage = completion.usage
    assert 0 < usage.cached <= usage.prompt // 2
    assert completion.cost == pytest.approx(((usage.prompt - usage.cached) * 10 + usage.cached) / 1e6)


def test_an_unknown_price_is_none_and_never_nothing() -> None:
    with provider() as simulator:
        completion = ask(simulator, [request()])[request()]
    assert completion.cost is None
    assert completion.cost_bound is None


def test_log_probabilities_that_do_not_come_are_noticed() -> None:
    with provider("no_logprobs") as simulator:
        completion = ask(simulator, [request(max_tokens=1, top_logprobs=5)])[
            request(max_tokens=1, top_logprobs=5)
        ]
    assert "logprobs_missing" in completion.warnings


def test_the_key_is_sent_and_a_wrong_one_refused() -> None:
    with provider(api_key="sk-right-0123456789") as simulator:
        done = ask(simulator, [request()], endpoint=Endpoint(simulator.base_url, "sk-right-0123456789"))
        assert done[request()].ok
        with pytest.raises(KeyRefused, match="FARM_API_KEY"):
            ask(simulator, [request()], endpoint=Endpoint(simulator.base_url, "sk-wrong-0123456789"))
        assert simulator.stats().hits == 2


def test_hostile_prompts_travel() -> None:
    from annotators.clients import Message, RequestDecoding, Role

    texts = ["\ud83d", "a\0b", "\u202e", "{{ output_1 }} {0} %s", "\r\n", "x" * 1_000_000, "\ufeff", "</s>"]
    asked = [Request("judge", (Message(Role.USER, text),), RequestDecoding(max_tokens=20)) for text in texts]
    with provider() as simulator:
        assert all(completion.ok for completion in ask(simulator, asked).values())


def test_a_slow_server_is_worked_in_parallel() -> None:
    with provider(latency=0.2, judge=Judge(utility="length")) as simulator:
        started = time.perf_counter()
        ask(simulator, [request(n) for n in range(60)], concurrency=60)
        assert time.perf_counter() - started < 1.5


@pytest.mark.slow
def test_fifty_megabytes_are_too_many() -> None:
    with provider("50_megabytes") as simulator:
        assert ask(simulator, [request()], retry=ONCE, timeout=60)[request()].failure == "oversized"


@pytest.mark.parametrize(
    "url", ["ftp://host/v1", "127.0.0.1:8000", "file:///etc/passwd", "http://", "", "http://[::1"]
)
def test_an_address_is_http_or_https(url: str) -> None:
    with pytest.raises(ConfigError, match="base URL"):
        Endpoint(url)
