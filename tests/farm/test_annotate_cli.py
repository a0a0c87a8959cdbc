"""`farm annotate` with a language model, as typed: costs told before and after, orders, replicates, caps."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.ledger import Ledger
from db.records import Instruction, Item, Output, Pair
from farm.annotate import AnnotateReport
from farm.terminal.annotate import annotate_view
from tests.support import command_line
from tests.support.judging_runs import command, verdicts

PAIRS = 12


@pytest.fixture
def server() -> Iterator[Simulator]:
    """A judge that always prefers what is shown first."""
    judge = Judge(utility="length", position_bias=100.0, noise=0.0)
    with Simulator(SimulatorConfig(judge=judge)) as running:
        yield running


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Items whose source stores the longer output first, whichever is output_a of the pair."""
    path = tmp_path / "farm.db"
    with Ledger.open(path, create=True) as opened, opened.writing() as writer:
        for i in range(PAIRS):
            ask = Instruction(f"Say {i}.")
            pair, flipped = Pair.of(Output(ask, f"{i}, I say", "long"), Output(ask, f"{i}", "short"))
            writer.items([Item("study", f"{i}", pair, flipped)])
    return path


def told(ledger: Path, server: Simulator, name: str, *options: str) -> Any:
    return command_line.told(ledger, "annotate", name, "--base-url", server.base_url, *options)


def test_a_dry_run_writes_nothing(ledger: Path, server: Simulator, tmp_path: Path) -> None:
    before = ledger.read_bytes()
    for name in ("plain", "crowd", "longest"):
        assert told(ledger, server, name, "--dry-run")["requests"] == (0 if name == "longest" else PAIRS)
    assert told(ledger, server, "crowd", "--members", "--dry-run")["requests"] > PAIRS
    assert ledger.read_bytes() == before
    assert "there is no ledger here" in command_line.refused(
        tmp_path / "none.db", "annotate", "plain", "--base-url", server.base_url, "--dry-run"
    )
    assert not (tmp_path / "none.db").exists()
    assert server.stats().hits == 0


def test_a_dry_run_is_near_the_bill_of_both_orders_and_replicates(ledger: Path, server: Simulator) -> None:
    asked = ("--orders", "both", "--replicates", "2")
    expected = told(ledger, server, "plain", *asked, "--dry-run")
    assert (expected["requests"], server.stats().hits) == (4 * PAIRS, 0)
    report = told(ledger, server, "plain", *asked)
    assert (report["new"], report["requests"]) == (4 * PAIRS, 4 * PAIRS)
    assert report["cost"] == report["cost_bound"] == pytest.approx(expected["cost"], rel=0.2)
    assert told(ledger, server, "plain", *asked, "--dry-run")["requests"] == 0
    with Ledger.open(ledger) as opened:
        found = verdicts(opened)
    assert {(replicate, swapped) for _, _, replicate, swapped in found} == {
        (k, s) for k in (0, 1) for s in (False, True)
    }


def test_stored_order_is_the_sources_own_and_random_order_is_not(ledger: Path, server: Simulator) -> None:
    for orders in ("stored", "random"):
        assert told(ledger, server, "plain", "--orders", orders)["new"] == PAIRS
        with Ledger.open(ledger) as opened:
            [*cards] = [card for card in opened.annotators() if card.spec["orders"] == orders]
            pairs = {pair.id: pair for pair in opened.pairs()}
            rows = opened.standing(cards[0].id, list(pairs))
        shown_first = {
            (pairs[asked.pair_id].output_b if asked.swapped else pairs[asked.pair_id].output_a).producer
            for asked in rows
        }
        assert shown_first == ({"long"} if orders == "stored" else {"long", "short"})


def test_a_cap_on_the_cost_is_kept_and_the_run_goes_on_under_a_higher_one(
    ledger: Path, server: Simulator
) -> None:
    whole = told(ledger, server, "plain", "--dry-run")["cost"]
    capped = command(ledger, server, "plain", "--max-cost", f"{whole / 2:.6f}")
    done = subprocess.run(capped, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("farm: the budget is used up: $")
    assert done.stderr.count("\n") == 1
    paid = server.stats().billed
    assert 0 < paid < PAIRS
    assert f"; plain: {paid} judgements so far (raise the cap and run the same command again" in done.stderr
    report = told(ledger, server, "plain", "--max-cost", "1")
    assert (report["already"], report["new"]) == (paid, PAIRS - paid)


def test_a_server_that_is_not_there_is_one_clear_line(ledger: Path) -> None:
    with Simulator() as nobody:
        pass
    done = subprocess.run(command(ledger, nobody, "plain"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"farm: {nobody.base_url}: none of {PAIRS} requests brought a usable reply")
    assert "unreachable" in done.stderr


def test_counts_agree_with_their_nouns() -> None:
    odd: dict[str, Any] = {"failures": {"length": 1}, "warnings": {"usage_missing": 2}}
    report = AnnotateReport("plain", "0a1b", 1, 0, {"failed": 1}, requests=1, tokens=1, **odd)
    console = Console(width=200)
    with console.capture() as shown:
        console.print(annotate_view(report))
    assert shown.get() == (
        "plain judged 1 pair: 1 new judgement (1 failed), 0 there already; 1 request, 1 token, cost unknown"
        "; 1 request failed: length; 2 replies: usage_missing\n"
    )
