"""Estimates that come near the bill, and a cap that holds."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotators.clients import (
    Account,
    Budget,
    BudgetExhausted,
    Charge,
    Endpoint,
    Message,
    Request,
    Role,
    count_tokens,
    estimate,
    run_all,
)
from annotators.clients.budget import prompt_token_bound, prompt_tokens
from annotators.clients.online import OnlineClient, OnlineOptions
from annotators.prices import Price, Usage
from annotators.simulator import STORM, FaultPlan, Judge, Simulator, SimulatorConfig
from db.errors import ConfigError
from tests.support.simulated_provider import QUICK, ask, provider, request

PRICE = Price(input=3.0, output=15.0, cached_input=0.3)
PROSE = (
    "Explain in two or three sentences why the sky looks blue at noon and red in the evening, and say what "
    "would change if the air were thicker. Do not use formulas; a reader of twelve should follow it.\n"
)
CODE = "def mean(values: list[float]) -> float:\n    return sum(values) / len(values) if values else 0.0\n"


def price(model: str) -> Price | None:
    return PRICE if model == "judge" else None


@pytest.mark.parametrize("text", [PROSE * 20, CODE * 20, PROSE * 5 + CODE * 5, "日本語の文章です。" * 40])
def test_the_estimate_comes_within_a_fifth_of_the_bill(text: str) -> None:
    asked = [
        Request("judge", (Message(Role.SYSTEM, text), *request(n).messages), request(n).decoding)
        for n in range(20)
    ]
    expected = estimate(asked, price, reply_tokens=lambda each: count_tokens("a"))
    with provider() as simulator:
        completions = ask(simulator, asked, price=price)
    bill = sum(each.cost or 0.0 for each in completions.values())
    assert expected.requests == 20
    assert expected.cost == pytest.approx(bill, rel=0.2)
    assert expected.prompt_tokens == pytest.approx(sum(c.usage.prompt for c in completions.values()), rel=0.2)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


@pytest.mark.skipif("FARM_REAL_DATA" not in os.environ, reason="FARM_REAL_DATA names no folder of real data")
def test_the_count_of_tokens_agrees_with_published_bills() -> None:
    """Prices of GPT-4-turbo judgements ($10 per million prompt tokens) on texts that we have."""
    folder = Path(os.environ["FARM_REAL_DATA"]) / "alpaca_eval"
    outputs = {}
    asked = {}
    for row in lines(folder / "outputs.jsonl.gz"):
        outputs[row["model"], row["instruction_id"]] = row["output"]
        asked[row["instruction_id"]] = row["instruction"]
    billed, counted = [], []
    for number, row in enumerate(lines(folder / "annotations_weighted_alpaca_eval_gpt4_turbo.jsonl.gz")):
        names = (row["model"], row["instruction_id"]), (row["reference"], row["instruction_id"])
        if number % 10 or row["price"] is None or not all(name in outputs for name in names):
            continue
        judged = row["judged_output_override"] or outputs[names[0]]
        billed.append(row["price"] / 10e-6)
        counted.append(count_tokens("\n".join([asked[row["instruction_id"]], judged, outputs[names[1]]])))
    slope, intercept = np.polyfit(counted, billed, 1)
    correlation = np.corrcoef(counted, billed)[0, 1]
    assert len(billed) > 1000
    assert slope == pytest.approx(1.0, abs=0.03)
    assert correlation**2 > 0.98
    assert intercept > 0  # the prompt around the texts, which we do not have


def test_without_a_price_the_estimate_says_so() -> None:
    known, unknown = request(model="judge"), request(model="stranger")
    assert estimate([known], price).cost is not None
    assert estimate([known, unknown], price).cost is None
    assert estimate([], price).cost == 0.0
    assert estimate([known], price).completion_tokens == 20  # max_tokens where nothing better is known


@given(st.text(max_size=300))
def test_the_worst_case_is_never_below_the_guess(text: str) -> None:
    asked = Request("judge", (Message(Role.USER, text),))
    assert prompt_token_bound(asked) >= prompt_tokens(asked)


def test_a_budget_needs_to_know_the_worst() -> None:
    account = Account(Budget(max_cost=1.0))
    with pytest.raises(ConfigError, match="longest reply"):
        account.worst_case(request(max_tokens=None), PRICE)
    with pytest.raises(ConfigError, match="price of judge is unknown"):
        account.worst_case(request(), None)
    assert Account(Budget(max_requests=3)).worst_case(request(max_tokens=None), None).cost == 0.0


def test_reserving_waits_for_what_is_in_flight_and_then_gives_up() -> None:
    async def main() -> None:
        account = Account(Budget(max_tokens=100))
        worst = Charge(1, 60, 0.0)
        await account.reserve(worst)
        waiting = asyncio.create_task(account.reserve(worst))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        account.settle(worst, Charge(1, 30, 0.0))
        await asyncio.wait_for(waiting, 1)  # 30 + 60 fits
        account.settle(worst, Charge(1, 60, 0.0))
        with pytest.raises(BudgetExhausted, match="90 of 100 tokens"):
            await account.reserve(worst)
        assert account.spent == Charge(2, 90, 0.0)
        assert account.reserved == Charge()

    asyncio.run(main())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    cap=st.sampled_from(["max_cost", "max_requests", "max_tokens"]),
    share=st.floats(0.0, 1.3),
    width=st.integers(1, 12),
    rate=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 1000),
)
def test_no_cap_is_ever_passed(cap: str, share: float, width: int, rate: float, seed: int) -> None:
    asked = [request(number) for number in range(25)]
    whole = {"max_cost": 25 * PRICE.cost(Usage(72, 1)), "max_requests": 25, "max_tokens": 25 * 73}[cap]
    limit = whole * share if cap == "max_cost" else int(whole * share)
    caps: dict[str, Any] = {cap: limit}
    account = Account(Budget(**caps))
    faults = FaultPlan(rate=rate, names=tuple(n for n in STORM if not n.startswith("429")), seed=seed)
    with Simulator(SimulatorConfig(judge=Judge(utility="length"), faults=faults)) as simulator:
        client = OnlineClient(
            Endpoint(simulator.base_url),
            OnlineOptions(concurrency=width, retry=QUICK),
            price=price,
            account=account,
        )
        delivered = []
        try:
            run_all(client, asked, lambda each, completion: delivered.append(completion))
            finished = True
        except BudgetExhausted:
            finished = False
        stats = simulator.stats()
    bill = Charge(
        stats.hits,
        stats.prompt_tokens + stats.completion_tokens,
        PRICE.cost(Usage(stats.prompt_tokens, stats.completion_tokens)),
    )
    assert account.budget.holds(bill)
    assert account.spent.requests == stats.hits == sum(each.attempts for each in delivered)
    assert account.spent.cost >= bill.cost * (1 - 1e-9)
    assert account.reserved == Charge()
    assert finished == (len(delivered) == 25) or rate > 0
    if share == 0.0 or limit == 0:
        assert stats.hits == 0
