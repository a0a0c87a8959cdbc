"""The faults of AlpacaFarm's simulator and of AlpacaEval, each by its name: ours does not have it.

docs/predecessors.md lists them all, with the test of each; those of the engine as a whole are here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from annotators.clients.failures import NotFound, ProviderDown
from annotators.draws import Orders
from annotators.simulator import FaultPlan, Judge, Simulator, SimulatorConfig
from db.ledger import Ledger, PairFilter
from db.records import Instruction, Item, Output, Pair
from db.tables import ANNOTATION, CLAIM, COMPLETION
from farm.judging.provider import Task
from farm.leaderboard import LeaderboardOptions, leaderboard
from tests.support.judging_runs import count, fill, run, verdicts

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "predecessors.md").read_text()
NAMED = re.findall(r"`(tests/\S+\.py)::(\w+)`", PAGE)
CALM = SimulatorConfig(judge=Judge(utility="length"))


def contest(ledger: Ledger, instructions: list[Instruction]) -> None:
    """Pairs of a model, whose outputs are longer, with a baseline."""
    with ledger.writing() as writer:
        for i, ask in enumerate(instructions):
            outputs = Output(ask, f"model {i} goes on and on", "model"), Output(ask, f"base {i}", "base")
            pair, flipped = Pair.of(*outputs)
            writer.items([Item("contest", f"{i}", pair, flipped)])


@pytest.mark.parametrize(("file", "test"), NAMED, ids=[test for _, test in NAMED])
def test_every_fault_of_the_page_has_its_test(file: str, test: str) -> None:
    assert re.search(rf"^(    )?def {test}\(", (ROOT / file).read_text(), re.M)


def test_rows_with_an_input_dropped_from_an_evaluation(tmp_path: Path) -> None:
    asked = [Instruction(f"Sum it up ({i}).", f"text {i}" * (i % 2)) for i in range(40)]
    with Simulator(CALM) as server, Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        contest(ledger, asked)
        run(ledger, server)
        [place] = [
            p for p in leaderboard(ledger, LeaderboardOptions("plain", "base")).places if p.model == "model"
        ]
        assert (place.rate.n, place.rate.n_failed) == (40, 0)
        assert place.rate.value == 1.0
        pairs = list(ledger.pairs(PairFilter()))
        assert {(p.instruction.text, p.instruction.input) for p in pairs} == {
            (a.text, a.input) for a in asked
        }


def test_failures_leaving_the_denominator(tmp_path: Path) -> None:
    refused = FaultPlan(rate=0.3, names=("content_filter",))
    with (
        Simulator(SimulatorConfig(judge=Judge(utility="length"), faults=refused)) as server,
        Ledger.open(tmp_path / "farm.db", create=True) as ledger,
    ):
        contest(ledger, [Instruction(f"Say {i}.") for i in range(40)])
        failed = run(ledger, server).statuses["failed"]
        [place] = [
            p for p in leaderboard(ledger, LeaderboardOptions("plain", "base")).places if p.model == "model"
        ]
    assert failed > 3
    assert (place.rate.n, place.rate.n_failed) == (40 - failed, failed)


def test_a_cache_blind_to_prompt_and_model(tmp_path: Path) -> None:
    fill(tmp_path / "farm.db", 10)
    with Simulator(CALM) as server, Ledger.open(tmp_path / "farm.db") as ledger:
        for name, model in (("plain", "one"), ("plain", "other"), ("single-token", "one")):
            assert run(ledger, server, name, models=(model,)).requests == 10
            assert run(ledger, server, name, models=(model,)).requests == 0
        assert server.stats().hits == server.stats().requests == 30


def test_a_cache_blind_to_order(tmp_path: Path) -> None:
    place_counts = SimulatorConfig(judge=Judge(utility="length", position_bias=100.0, noise=0.0))
    fill(tmp_path / "farm.db", 10)
    with Simulator(place_counts) as server, Ledger.open(tmp_path / "farm.db") as ledger:
        assert run(ledger, server, task=Task(orders=Orders.BOTH)).requests == 20
        found = verdicts(ledger)
    assert {(swapped, value) for (*_, swapped), value in found.items()} == {(False, 1.0), (True, 0.0)}


def test_one_pair_asked_twice_because_its_outputs_are_exchanged(tmp_path: Path) -> None:
    ask = Instruction("Say hi.")
    one, other = Output(ask, "hi", "m"), Output(ask, "hi there", "n")
    with Simulator(CALM) as server, Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        with ledger.writing() as writer:
            writer.pairs([Pair.of(one, other)[0], Pair.of(other, one)[0]])
        assert run(ledger, server).requests == 1


def test_an_endless_retry_on_a_retired_model(tmp_path: Path) -> None:
    fill(tmp_path / "farm.db", 40)
    with Simulator(SimulatorConfig(models=("alive",))) as server, Ledger.open(tmp_path / "farm.db") as ledger:
        with pytest.raises(NotFound, match="check --model"):
            run(ledger, server, models=("text-davinci-003",), concurrency=4)
        assert server.stats().hits <= 4
        assert run(ledger, server, models=("alive",)).statuses == {"ok": 40}


def test_a_server_error_that_stays_loses_what_was_answered(tmp_path: Path) -> None:
    fill(tmp_path / "farm.db", 30)
    with Ledger.open(tmp_path / "farm.db") as ledger:
        with Simulator(CALM) as server:
            run(ledger, server, task=Task(PairFilter(limit=20)))
            port = int(server.base_url.split(":")[2].split("/")[0])
        with Simulator(CALM, port=port) as nobody:
            pass
        with pytest.raises(ProviderDown, match="none of 10 requests brought a usable reply"):
            run(ledger, nobody)  # its address; it has closed
        with Simulator(CALM, port=port) as server:
            report = run(ledger, server)
            assert (report.known, report.statuses) == (20, {"ok": 10})
            assert server.stats().hits == 10


def test_a_cache_that_is_rewritten_as_it_grows(tmp_path: Path) -> None:
    fill(tmp_path / "farm.db", 40)
    with Simulator(CALM) as server, Ledger.open(tmp_path / "farm.db") as ledger:
        run(ledger, server, task=Task(PairFilter(limit=20)))
        with ledger.reading() as connection:
            before = {
                table: connection.execute(table.select()).all() for table in (CLAIM, COMPLETION, ANNOTATION)
            }
        run(ledger, server)
        with ledger.reading() as connection:
            for table, rows in before.items():
                assert connection.execute(table.select()).all()[: len(rows)] == rows
        assert count(ledger, ANNOTATION) == 40
