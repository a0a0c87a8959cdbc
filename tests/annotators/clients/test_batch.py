"""The Batch API behind the same seam: whatever becomes of a batch, every request is accounted for once."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import time
import tracemalloc
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from annotators.clients import (
    Account,
    Budget,
    BudgetExhausted,
    Endpoint,
    ProviderDown,
    Reply,
    Request,
    run_all,
)
from annotators.clients.batch import BatchClient, BatchOptions
from annotators.clients.batch_api import BatchApi
from annotators.clients.batch_lines import read_result, request_line
from annotators.clients.dialect import Dialect
from annotators.clients.sending import MAX_BODY
from annotators.prices import Price
from annotators.simulator import BatchPlan, FaultPlan, Simulator
from tests.support.attacks import raw_server
from tests.support.simulated_provider import ask, provider, request

PRICE = Price(input=3.0, output=15.0)
ASKED = [request(number) for number in range(40)]


def collect(
    base_url: str, requests: Iterable[Request], options: BatchOptions | None = None, **more: object
) -> list[tuple[Request, Reply]]:
    """What is delivered, in order."""
    delivered: list[tuple[Request, Reply]] = []
    client = BatchClient(
        Endpoint(base_url),
        options or BatchOptions("run-1", poll_seconds=0.01),
        price=lambda model: PRICE,
        **more,  # type: ignore[arg-type]
    )
    run_all(client, requests, lambda asked, completion: delivered.append((asked, completion)))
    return delivered


def get(simulator: Simulator, path: str) -> list[dict[str, object]]:
    """A list of the provider's, straight from its API."""
    with urllib.request.urlopen(f"{simulator.base_url}/{path}?limit=1000") as reply:
        data: list[dict[str, object]] = json.load(reply)["data"]
    return data


def test_a_batch_answers_as_single_requests_do_at_half_the_price() -> None:
    with provider() as simulator:
        single = ask(simulator, ASKED, price=lambda model: PRICE)
    with provider(batch=BatchPlan(seconds=0.05)) as simulator:
        delivered = collect(simulator.base_url, ASKED)
        assert simulator.stats().hits == len(ASKED)
    assert [asked for asked, _ in delivered] != ASKED  # in an order of the provider's own
    batch = dict(delivered)
    assert len(batch) == len(delivered) == len(ASKED)
    for asked in ASKED:
        assert batch[asked].text == single[asked].text
        assert batch[asked].usage == single[asked].usage
        assert batch[asked].cost == pytest.approx(single[asked].cost / 2)  # type: ignore[operator]
        assert batch[asked].attempts == 1
        assert batch[asked].request_key == asked.key


def test_single_requests_that_fail_come_from_the_error_file() -> None:
    faults = FaultPlan(rate=0.5, names=("500", "400_length", "null", "html"), seed=1)
    with provider(faults=faults) as simulator:
        batch = dict(collect(simulator.base_url, ASKED))
        stats = simulator.stats()
    failures = Counter(completion.failure for completion in batch.values())
    assert set(failures) == {None, "server_error", "context_length", "null_content"}
    assert len(batch) == len(ASKED)
    assert sum(stats.faults.values()) == len(ASKED) - failures[None]
    assert failures["server_error"] == stats.faults["500"] + stats.faults["html"]


@pytest.mark.parametrize(
    ("outcome", "failure", "answered"),
    [
        ("expired", "batch_expired", 0.5),
        ("cancelled", "batch_cancelled", 0.25),
        ("failed", "batch_failed", 1.0),
    ],
)
def test_a_batch_that_ends_early_leaves_failures_for_the_next_run(
    outcome: str, failure: str, answered: float
) -> None:
    plan = BatchPlan(outcome=outcome, answered=answered)  # type: ignore[arg-type]
    with provider(batch=plan) as simulator:
        account = Account()
        first = dict(collect(simulator.base_url, ASKED, account=account))
        ended = Counter(completion.failure for completion in first.values())
        good = 0 if outcome == "failed" else int(answered * len(ASKED))
        assert ended == Counter({None: good, failure: len(ASKED) - good})
        stats = simulator.stats()
        assert stats.billed == good
        assert account.spent.tokens == stats.prompt_tokens + stats.completion_tokens
        assert account.reserved.requests == 0


def test_strange_lines_are_passed_over() -> None:
    with provider(batch=BatchPlan(strange_lines=True)) as simulator:
        delivered = collect(simulator.base_url, ASKED)
    assert len(delivered) == len(dict(delivered)) == len(ASKED)
    assert all(completion.ok for _, completion in delivered)


def test_polls_that_fail_do_not_end_the_run() -> None:
    with provider(batch=BatchPlan(failing_polls=5)) as simulator:
        assert all(completion.ok for _, completion in collect(simulator.base_url, ASKED))
    with (
        provider(batch=BatchPlan(failing_polls=10_000)) as simulator,
        pytest.raises(ProviderDown, match="collect"),
    ):
        collect(simulator.base_url, ASKED, BatchOptions("run-1", poll_seconds=0.0005))


@pytest.mark.parametrize("limits", [{"max_requests": 15}, {"max_bytes": 10_000}])
def test_files_are_split_at_the_providers_limits_and_by_model(limits: dict[str, Any]) -> None:
    asked = [request(number, model=f"judge-{number % 2}") for number in range(60)]
    with provider(batch=BatchPlan(**limits)) as simulator:
        delivered = collect(simulator.base_url, asked, BatchOptions("run-1", poll_seconds=0.01, **limits))
        batches = get(simulator, "batches")
    assert Counter(completion.failure for _, completion in delivered) == {None: 60}
    assert len(batches) >= 4
    assert {each["status"] for each in batches} == {"completed"}
    sent = max(len(request_line(each, Dialect())) for each in asked)
    assert sent < 10_000


def test_the_same_request_twice_is_asked_twice() -> None:
    with provider() as simulator:
        delivered = collect(simulator.base_url, [ASKED[0], ASKED[1], ASKED[0]])
        assert simulator.stats().hits == 3
    assert Counter(asked for asked, _ in delivered) == {ASKED[0]: 2, ASKED[1]: 1}


def test_claims_come_before_the_batch() -> None:
    claims: list[str] = []

    async def claim(asked: Request, attempt: int) -> None:
        assert attempt == 1
        claims.append(asked.key)

    with provider() as simulator:
        collect(simulator.base_url, ASKED, before_send=claim)
    assert claims == [each.key for each in ASKED]


def test_a_budget_holds_and_what_fits_goes_in_waves() -> None:
    with provider() as simulator:
        worst = Account(Budget(max_cost=9.0)).worst_case(ASKED[0], PRICE.scaled(0.5)).cost
        account = Account(Budget(max_cost=worst * 10))
        delivered: list[Reply] = []
        client = BatchClient(
            Endpoint(simulator.base_url),
            BatchOptions("run-1", poll_seconds=0.01),
            price=lambda model: PRICE,
            account=account,
        )
        with pytest.raises(BudgetExhausted):
            run_all(client, [request(n) for n in range(200)], lambda asked, done: delivered.append(done))
        stats = simulator.stats()
        assert len(get(simulator, "batches")) > 2
    bill = (stats.prompt_tokens * 3 + stats.completion_tokens * 15) / 2e6
    assert sum(each.cost or 0.0 for each in delivered) == pytest.approx(bill)
    assert worst * 8 < bill <= worst * 10
    assert account.spent.cost == pytest.approx(bill)


def test_a_wrong_key_stops_before_anything_is_paid() -> None:
    from annotators.clients import KeyRefused

    with provider(api_key="sk-right-0123456789") as simulator, pytest.raises(KeyRefused):
        collect(simulator.base_url, ASKED)


def _child(base_url: str) -> None:
    collect(base_url, ASKED, BatchOptions("run-1", poll_seconds=0.05))


@pytest.mark.parametrize("seen", ["files", "batches"])
def test_a_process_killed_on_the_way_is_continued_by_the_next(seen: str) -> None:
    """Killed when the file, or the batch, exists and before the client was told."""
    keys = {each.key for each in ASKED}
    with provider(latency=0.4) as simulator:
        child = multiprocessing.get_context("spawn").Process(target=_child, args=(simulator.base_url,))
        child.start()
        while not getattr(simulator.stats(), seen):
            time.sleep(0.005)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        before = simulator.stats()
        assert (before.files, before.batches) == (1, int(seen == "batches"))
        delivered = collect(simulator.base_url, ASKED, open_claims=keys)
        stats = simulator.stats()
        names = [str(each["filename"]) for each in get(simulator, "files")]
    assert all(completion.ok for _, completion in delivered)
    assert Counter(asked for asked, _ in delivered) == Counter(ASKED)
    assert stats.hits == len(ASKED)  # nothing was paid twice
    assert stats.batches == 1
    assert sum(name.startswith("preference-farm-run-1-") for name in names) == 1  # and nothing left lying


def test_keys_without_a_batch_are_asked_anew_and_failures_are_not_adopted_twice() -> None:
    keys = {each.key for each in ASKED}
    with provider(batch=BatchPlan(outcome="expired", answered=0.5)) as simulator:
        first = dict(collect(simulator.base_url, ASKED))
        failed = [each for each in ASKED if not first[each].ok]
        second = dict(collect(simulator.base_url, failed))  # nothing is open: these are new claims
        assert len(get(simulator, "batches")) == 2
        assert sum(completion.ok for completion in second.values()) == len(failed) // 2
        again = dict(collect(simulator.base_url, ASKED, open_claims=keys))  # all claims were left open
        assert simulator.stats().hits == len(ASKED) // 2 + len(failed) // 2
    assert sum(completion.ok for completion in again.values()) == len(ASKED) * 3 // 4


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b"null", b'{"custom_id": 1}', b'{"custom_id": "x"}', b"\xff"]
)
def test_what_is_no_result_is_none(line: bytes) -> None:
    assert read_result(line) is None


def test_a_file_of_results_beyond_the_limit_of_one_reply_is_read_whole() -> None:
    asked = [request(number, model="m" * 60_000) for number in range(300)]  # each reply repeats the name
    with provider() as simulator:
        delivered = dict(collect(simulator.base_url, asked))
        size = max(
            int(str(each["bytes"])) for each in get(simulator, "files") if each["purpose"] == "batch_output"
        )
    assert size > MAX_BODY
    assert Counter(reply.failure for reply in delivered.values()) == {None: len(asked)}


def test_a_large_file_stands_on_disk_and_not_in_memory() -> None:
    line = b"x" * 2**20 + b"\n"

    def answer(head: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (80 * len(line))
        yield from [line] * 80

    async def count(url: str) -> int:
        async with (
            BatchApi.open(Endpoint(url), "run", timeout=60, longest_wait=1) as api,
            api.lines("f") as read,
        ):
            return sum(each == line for each in read)

    with raw_server(answer) as url:
        tracemalloc.start()
        try:
            assert asyncio.run(count(url)) == 80
            assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
        finally:
            tracemalloc.stop()


def test_an_oversized_line_is_the_failure_of_its_request_alone() -> None:
    body = b'{"id": "1", "custom_id": "k", "response": {"status_code": 200, "body": "' + b"x" * MAX_BODY

    def answer(head: bytes) -> Iterator[bytes]:
        yield (
            b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + body + b'"}}\n{"custom_id": "j", "error": {}}\n'
        )

    async def read(url: str) -> list[str]:
        async with (
            BatchApi.open(Endpoint(url), "run", timeout=60, longest_wait=1) as api,
            api.lines("f") as lines,
        ):
            results = [result for line in lines if (result := read_result(line))]
            return [f"{each.custom_id} {each.sending(request()).failure}" for each in results]

    with raw_server(answer) as url:
        assert asyncio.run(read(url)) == ["k oversized", "j server_error"]


def test_a_server_that_drips_does_not_hold_a_run() -> None:
    def drip(head: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        while True:
            yield b"1\r\n \r\n"
            time.sleep(0.01)

    with raw_server(drip) as url, pytest.raises(ProviderDown, match="timeout"):
        collect(url, ASKED[:1], BatchOptions("run-1", poll_seconds=0.001, timeout=0.05))
