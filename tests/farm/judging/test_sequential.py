"""One judge asked until its side is clear, over a real HTTP provider: draws, estimates, budgets, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators.clients.failures import BudgetExhausted
from annotators.sequential import StoppingRule, outlook
from annotators.simulator import Judge
from db.ids import keyed_uniform
from db.ledger import Ledger, PairFilter
from db.tables import ANNOTATION, MADE_OF
from farm.annotate import plan
from farm.judging.provider import Provider, Task
from tests.support.command_line import farm, refused, told
from tests.support.judging_runs import count, fill, run
from tests.support.known_members import chances, composite_file, served
from tests.support.known_pools import pairs_of, write

PAIRS = pairs_of(120)
RULE = StoppingRule(sure=0.9, most=7)
LINES = ("sure: 0.9", "most: 7")


def worth(instruction: str, input: str, output: str) -> float:
    return 2 * keyed_uniform("worth", output)


JUDGES = {"one": Judge(utility=worth, noise=0.6, seed=1)}
CHANCES = chances(JUDGES["one"], PAIRS)


def of(ledger: Ledger, name: str) -> dict[tuple[int, int], Any]:
    """The judgements of an annotator, by pair and replicate."""
    [number] = [card.id for card in ledger.annotators() if card.name == name]
    with ledger.reading() as connection:
        rows = connection.execute(ANNOTATION.select().where(ANNOTATION.c.annotator_id == number)).all()
    return {(row.pair_id, row.replicate): row for row in rows}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An annotator that says a mean, and one that says the side, of a judge whose chances are known."""
    folder = tmp_path_factory.mktemp("sequential")
    ledger = write(folder / "farm.db", PAIRS)
    mean = composite_file(folder / "mean.yaml", "sequential", ["one"], *LINES)
    side = composite_file(folder / "side.yaml", "sequential", ["one"], *LINES, "says: side")
    with served(JUDGES) as simulator:
        first, second = (
            told(ledger, "annotate", file, "--base-url", simulator.base_url) for file in (mean, side)
        )
        hits = simulator.stats().hits
    return {"first": first, "second": second, "hits": hits, "ledger": ledger}


def test_it_asks_as_often_as_theory_says_and_another_rule_asks_nobody(study: dict[str, Any]) -> None:
    expected = sum(outlook(RULE, chance).draws for chance in CHANCES)
    assert study["hits"] == study["first"]["requests"]
    assert abs(study["hits"] - expected) < 4 * np.sqrt(len(PAIRS)) * (RULE.most - RULE.fewest) / 2
    assert study["hits"] < 0.85 * RULE.most * len(PAIRS)
    assert study["second"]["requests"] == 0
    assert study["first"]["statuses"] == {"ok": len(PAIRS)}


def test_its_mean_has_no_bias(study: dict[str, Any]) -> None:
    """Its variance is at most that of one vote, which it is the conditional mean of."""
    with Ledger.open(study["ledger"]) as ledger:
        by_key = {pair.key: number for pair in ledger.pairs() for number in [pair.id]}
        said = of(ledger, "mean")
    found = np.array([said[by_key[pair.key], 0].preference for pair in PAIRS])
    assert abs((found - CHANCES).sum()) < 4 * np.sqrt((CHANCES * (1 - CHANCES)).sum())
    assert ((found - CHANCES) ** 2).mean() < 0.7 * (CHANCES * (1 - CHANCES)).mean()


def test_a_side_is_decided_as_often_as_theory_says(study: dict[str, Any]) -> None:
    open_ = np.array([1 - found.first - found.second for found in (outlook(RULE, p) for p in CHANCES)])
    statuses = study["second"]["statuses"]
    assert abs(statuses["contested"] - open_.sum()) < 4 * np.sqrt((open_ * (1 - open_)).sum())
    assert study["second"]["contested"] == {"undecided after 7 draws": statuses["contested"]}
    [mean, side] = told(study["ledger"], "audit", "--reference", "one")["coverage"]
    assert mean["parts"] == side["parts"] == study["hits"] / len(PAIRS)
    assert side["decided"]["value"] == statuses["ok"] / len(PAIRS)


def test_a_judgement_points_to_its_draws_and_replicates_share_none(tmp_path: Path) -> None:
    file = composite_file(tmp_path / "a.yaml", "sequential", ["one"], *LINES)
    fill(tmp_path / "farm.db", 12)
    with served(JUDGES) as simulator, Ledger.open(tmp_path / "farm.db") as ledger:
        report = run(ledger, simulator, file, Task(replicates=2))
        draws = {row.id: (row.pair_id, row.replicate) for row in of(ledger, "one").values()}
        whole = {row.id: key for key, row in of(ledger, "a").items()}
        with ledger.reading() as connection:
            made = connection.execute(MADE_OF.select()).all()
        assert report.statuses == {"ok": 24}
        assert report.requests == len(made) == len({row.part_id for row in made}) == len(draws)
        for row in made:
            (pair, replicate), (asked, draw) = whole[row.annotation_id], draws[row.part_id]
            assert (pair, replicate) == (asked, draw // RULE.most)


def test_a_budget_stops_it_and_it_goes_on_as_if_it_had_not(ledger_url: str, tmp_path: Path) -> None:
    file = composite_file(tmp_path / "a.yaml", "sequential", ["one"], *LINES)
    fill(ledger_url, 18)
    fill(tmp_path / "whole.db", 18)
    with served(JUDGES) as simulator, Ledger.open(ledger_url) as ledger:
        most = plan(ledger, file, Task(PairFilter(limit=10)), Provider(base_url=simulator.base_url))
        assert most.requests == 10 * RULE.most, "the most that it can take"
        for budget in (30, 65):
            with pytest.raises(BudgetExhausted):
                run(ledger, simulator, file, max_requests=budget - simulator.stats().hits)
            assert simulator.stats().hits == budget
        report = run(ledger, simulator, file)
        assert report.known + sum(report.statuses.values()) == 18
        hits = simulator.stats().hits
        assert run(ledger, simulator, file).known == 18
        assert simulator.stats().hits == hits == count(ledger, MADE_OF)
        assert plan(ledger, file, Task(), Provider(base_url=simulator.base_url)).requests == 0
        with Ledger.open(tmp_path / "whole.db") as whole:
            assert run(whole, simulator, file).requests == hits
            expected, found = of(whole, "a"), of(ledger, "a")
            assert {key: row.preference for key, row in found.items()} == {
                key: row.preference for key, row in expected.items()
            }


def test_the_command_prints_draws_errors_and_bias_by_theory(study: dict[str, Any], tmp_path: Path) -> None:
    file = composite_file(tmp_path / "a.yaml", "sequential", ["one"], *LINES)
    for each in told(study["ledger"], "annotators", file)["prospects"]:
        known = outlook(RULE, each["chance"])
        assert each["mean"] == pytest.approx(each["chance"], abs=1e-12)
        assert each["bias"] == known.of_votes - each["chance"]
        assert each["first"] + each["second"] + each["open"] == pytest.approx(1)
    seen = farm(study["ledger"], "annotators", file).out
    assert "bias of the votes" in seen
    assert f"{outlook(RULE, 0.8).draws:.2f}" in seen


def test_there_is_nothing_to_calibrate(study: dict[str, Any], tmp_path: Path) -> None:
    file = composite_file(tmp_path / "a.yaml", "sequential", ["one"], *LINES)
    said = refused(study["ledger"], "annotators", "calibrate", file, "--out", tmp_path / "b.yaml")
    assert "has nothing to fit" in said
