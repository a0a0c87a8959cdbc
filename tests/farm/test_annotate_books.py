"""What the ledger says was sent and paid is what the provider's books say, whatever went wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from annotators.clients.failures import RunStopped
from annotators.clients.online import OnlineOptions
from annotators.prices import PriceTable
from annotators.simulator import (
    FAULTS,
    STORM,
    BatchPlan,
    FaultPlan,
    Judge,
    Simulator,
    SimulatorConfig,
    request_key,
)
from annotators.simulator.app import SimulatorStats
from db.ledger import Ledger
from db.tables import CLAIM, COMPLETION
from farm.annotate import AnnotateReport
from farm.judging import transports
from tests.support.judging_runs import fill, run, verdicts
from tests.support.simulated_provider import QUICK

PAIRS = 3
PERHAPS = ("408",)  # a server on the way gave up waiting: billed, as far as a client can tell
LONGER = Judge(utility="length")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The online client with waits that suit a test, and a time limit where something is to pass it."""
    call = getattr(request.node, "callspec", None)
    slow = call is not None and call.params.get("fault") in ("hang", "drip")
    limit = 1.0 if slow else 60.0
    monkeypatch.setattr(transports, "OnlineOptions", partial(OnlineOptions, timeout=limit, retry=QUICK))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    fill(tmp_path / "farm.db", PAIRS)
    with Ledger.open(tmp_path / "farm.db") as opened:
        yield opened


def until_all_is_judged(ledger: Ledger, server: Simulator, name: str, **options: Any) -> list[AnnotateReport]:
    """The same command again and again, as a user would."""
    reports = []
    for _ in range(15):
        try:
            reports.append(run(ledger, server, name, **options))
        except RunStopped:
            continue
        if "failed" not in reports[-1].statuses:
            return reports
    raise AssertionError(f"failures without end: {reports[-1]}")


def completions(ledger: Ledger) -> dict[str, list[Any]]:
    """What the ledger has on each request, by the provider's key of it."""
    found: dict[str, list[Any]] = {}
    with ledger.reading() as connection:
        for row in connection.execute(
            select(CLAIM.c.request, COMPLETION).select_from(CLAIM.join(COMPLETION))
        ):
            found.setdefault(request_key(json.loads(row.request)), []).append(row)
    return found


def check_books(
    asked: dict[str, list[Any]], stats: SimulatorStats, *, factor: float = 1.0, exact: bool = True
) -> None:
    """Every sending, token and cent of the provider's books is in ours: known, or as a bill that is missing.

    exact: every bill that is missing was made.
    """
    assert set(asked) == set(stats.bills)
    price = PriceTable.load().price("gpt-5.4-mini")
    assert price is not None
    for key, rows in asked.items():
        bill = stats.bills[key]
        assert sum(row.sendings for row in rows) == bill.hits
        known = sum(row.prompt_tokens + row.completion_tokens for row in rows)
        once = (bill.prompt_tokens + bill.completion_tokens) // bill.billed
        unseen, unmetered = bill.billed - known // once, sum(row.unmetered for row in rows)
        assert known % once == 0
        assert unseen == unmetered if exact else unseen <= unmetered
        dollars = factor * (bill.prompt_tokens * price.input + bill.completion_tokens * price.output) / 1e6
        assert sum(row.cost for row in rows) == pytest.approx(dollars * (1 - unseen / bill.billed))
        assert sum(row.cost_bound for row in rows) >= dollars * (1 - 1e-9)


@pytest.mark.parametrize("fault", FAULTS)
def test_on_every_fault_the_ledger_and_the_server_agree_to_the_request(ledger: Ledger, fault: str) -> None:
    with Simulator(SimulatorConfig(judge=LONGER, faults=FaultPlan(script=(fault,)))) as server:
        reports = until_all_is_judged(ledger, server, "plain")
        stats = server.stats()
    assert stats.faults == {fault: PAIRS}
    check_books(completions(ledger), stats, exact=fault not in PERHAPS)
    assert {status for report in reports for status in report.statuses} <= {"ok", "failed", "unreadable"}
    assert len(verdicts(ledger)) == PAIRS


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in (*STORM, "50_megabytes")])
def test_on_every_lasting_fault_within_a_batch_too(ledger: Ledger, fault: str) -> None:
    with Simulator(SimulatorConfig(judge=LONGER, faults=FaultPlan(script=(fault,)))) as server:
        until_all_is_judged(ledger, server, "plain", batch=True, poll_seconds=0.01)
        check_books(completions(ledger), server.stats(), factor=0.5, exact=fault not in PERHAPS)
    assert len(verdicts(ledger)) == PAIRS


@pytest.mark.parametrize(
    "plan",
    [
        BatchPlan(outcome="expired", answered=0.5),
        BatchPlan(outcome="cancelled", answered=0.5),
        BatchPlan(strange_lines=True),
        BatchPlan(failing_polls=3),
    ],
    ids=["expired", "cancelled", "strange lines", "failing polls"],
)
def test_whatever_becomes_of_a_batch(tmp_path: Path, plan: BatchPlan) -> None:
    fill(tmp_path / "farm.db", 12)
    with (
        Simulator(SimulatorConfig(judge=LONGER, batch=plan)) as server,
        Ledger.open(tmp_path / "farm.db") as ledger,
    ):
        for _ in range(2):
            run(ledger, server, "plain", batch=True, poll_seconds=0.01)
        run(ledger, server, "plain")  # what two batches left is asked directly
        stats = server.stats()
        rows = [row for each in completions(ledger).values() for row in each]
        assert sum(row.prompt_tokens for row in rows) == stats.prompt_tokens
        assert sum(row.completion_tokens for row in rows) == stats.completion_tokens
        assert stats.billed == stats.requests == 12
        assert None not in verdicts(ledger).values()
        assert len(verdicts(ledger)) == 12


@pytest.mark.parametrize("batch", [False, True], ids=["online", "batch"])
def test_a_storm_of_mixed_faults_ends_as_a_calm_run(tmp_path: Path, batch: bool) -> None:
    found, options = [], {"batch": batch, "poll_seconds": 0.01} if batch else {}
    for rate in (0.0, 0.3):
        path = tmp_path / f"{rate}.db"
        fill(path, 60)
        faults = FaultPlan(rate=rate, names=STORM, seed=3)
        with Simulator(SimulatorConfig(faults=faults)) as server, Ledger.open(path) as ledger:
            until_all_is_judged(ledger, server, "crowd", **options)
            stats = server.stats()
            sent = sum(row.sendings for rows in completions(ledger).values() for row in rows)
            assert sent == stats.hits
            assert (sum(stats.faults.values()) > 10) == (rate > 0)
            found.append(verdicts(ledger))
    assert found[0] == found[1]
    assert None not in found[1].values()


def test_a_report_says_what_may_have_been_paid_beside_what_was(ledger: Ledger) -> None:
    with Simulator(SimulatorConfig(judge=LONGER, faults=FaultPlan(script=("cut",)))) as server:
        report = run(ledger, server, "plain")
        stats = server.stats()
    assert report.requests == stats.hits == 2 * PAIRS
    assert report.cost is not None
    assert report.cost_bound is not None
    bill = report.cost * stats.billed / PAIRS
    assert report.cost < bill < report.cost_bound
