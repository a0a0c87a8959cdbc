"""The gate: how many in flight, how many per minute, and no stampede after a pause."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from annotators.clients import RateLimits, RetryPolicy
from annotators.clients.limits import Gate
from annotators.clients.online import OnlineOptions
from db.errors import ConfigError
from tests.support.simulated_provider import ask, provider, request


@pytest.mark.parametrize(
    "make",
    [
        lambda: RateLimits(requests=0),
        lambda: RateLimits(tokens=-1.0),
        lambda: OnlineOptions(concurrency=0),
        lambda: OnlineOptions(timeout=0.0),
        lambda: OnlineOptions(timeout=float("nan")),
    ],
)
def test_a_limit_that_lets_nothing_through_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        make()


async def pass_through(gate: Gate, count: int, tokens: float = 1.0) -> list[float]:
    """When each of `count` requests, all in line at once and each over at once, may go."""

    async def one() -> float:
        at = await gate.enter(tokens)
        gate.leave()
        return at

    return sorted(await asyncio.gather(*(one() for _ in range(count))))


def test_no_more_in_flight_than_the_limit() -> None:
    async def main() -> None:
        gate = Gate(3)
        for _ in range(3):
            await gate.enter(1)
        fourth = asyncio.create_task(gate.enter(1))
        await asyncio.sleep(0.01)
        assert not fourth.done()
        gate.leave()
        await asyncio.wait_for(fourth, 1)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("rates", "tokens", "gap"),
    [
        (RateLimits(requests=3000), 1.0, 0.02),
        (RateLimits(tokens=60_000), 20.0, 0.02),
        (RateLimits(requests=6000, tokens=60_000), 20.0, 0.02),
    ],
)
def test_nobody_goes_before_the_schedule_and_nobody_much_after(
    rates: RateLimits, tokens: float, gap: float
) -> None:
    times = asyncio.run(pass_through_at(rates, 16, tokens))
    assert all(at - times[0] >= number * gap - 1e-6 for number, at in enumerate(times))
    assert times[-1] - times[0] < 15 * gap + 0.3


async def pass_through_at(rates: RateLimits, count: int, tokens: float = 1.0) -> list[float]:
    return await pass_through(Gate(100, rates), count, tokens)


def test_tokens_that_were_not_used_go_back() -> None:
    async def main() -> float:
        gate = Gate(10, RateLimits(tokens=6000))
        started = await gate.enter(100)  # worth a second
        gate.leave(unused_tokens=95)
        return await gate.enter(1) - started

    assert asyncio.run(main()) == pytest.approx(0.05, abs=0.03)


def test_a_pause_holds_all_and_starts_again_from_one() -> None:
    async def main() -> None:
        gate = Gate(64)
        sent = [await gate.enter(1) for _ in range(64)]
        for at in sent:
            gate.throttled(at, 0.1)
            gate.leave()
        assert gate.limit == 1.0
        asked = time.monotonic()
        assert await gate.enter(1) - asked >= 0.09
        second = asyncio.create_task(gate.enter(1))
        await asyncio.sleep(0.02)
        assert not second.done()  # one at a time until something succeeds
        gate.succeeded()
        gate.leave()
        await asyncio.wait_for(second, 1)
        assert gate.limit == 2.0

    asyncio.run(main())


def test_the_429s_of_one_burst_count_once_and_later_ones_again() -> None:
    async def main() -> None:
        gate = Gate(64)
        first, second = await gate.enter(1), await gate.enter(1)
        gate.throttled(first, 0.0)
        for _ in range(200):
            gate.succeeded()
        grown = gate.limit
        assert 32 < grown < 40  # doubling up to half of 64, one per round from there
        gate.throttled(second, 0.0)
        assert gate.limit == grown  # it left before the first 429 came
        gate.leave()
        gate.throttled(await gate.enter(1), 0.0)
        assert gate.limit == 1.0

    asyncio.run(main())


def test_no_stampede_after_a_real_pause() -> None:
    policy = RetryPolicy(attempts=4, longest_wait=5.0)
    with provider("429_1", latency=0.05) as simulator:
        completions = ask(simulator, [request(n) for n in range(40)], concurrency=40, retry=policy)
        arrivals = simulator.arrivals()
    assert all(each.ok for each in completions.values())
    resumed = [at - arrivals[0] for at in arrivals[40:]]
    assert len(arrivals) == 80
    assert resumed[0] >= 1.0  # nobody came during the pause
    # one round takes 50 ms: one request, then two, then four
    assert sum(at < resumed[0] + 0.045 for at in resumed) == 1
    assert sum(at < resumed[0] + 0.095 for at in resumed) <= 3
    assert sum(at < resumed[0] + 0.145 for at in resumed) <= 7


def test_a_limit_that_is_kept_meets_no_429() -> None:
    with provider(requests_per_minute=1800.0) as simulator:
        ask(simulator, [request(n) for n in range(45)], rates=RateLimits(requests=1750))
        assert simulator.stats().hits == 45


def test_a_limit_that_nobody_told_us_is_found() -> None:
    policy = RetryPolicy(attempts=8, longest_wait=2.0)
    with provider(requests_per_minute=3000.0) as simulator:
        completions = ask(simulator, [request(n) for n in range(150)], concurrency=30, retry=policy)
        stats = simulator.stats()
    assert all(each.ok for each in completions.values())
    assert sum(each.attempts for each in completions.values()) == stats.hits
    assert stats.hits < 3 * 150
