"""`farm audit --drift`, with a provider that replaces the model behind a name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from statsmodels.stats.contingency_tables import mcnemar

from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.ledger import Ledger
from db.queries.answering_models import answering_models
from tests.support.command_line import farm, told
from tests.support.judged_models import judged_row

PAIRS = 80
OLD, NEW = "-2024-05-13", "-2024-08-06"
ASKING = ("annotate", "single-token", "--model", "gpt-4o", "--orders", "stored")


def asked(path: Path, snapshot: str, utility: str, *more: object) -> None:
    """The judge as this model plays it. A little noise keeps it from being certain."""
    judge = Judge(utility=utility, noise=0.05)
    with Simulator(SimulatorConfig(judge=judge, snapshot=snapshot)) as server:
        assert farm(path, *ASKING, "--base-url", server.base_url, *more).code == 0


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people prefer the longer output. So did the old model; the new one prefers whatever comes."""
    folder = tmp_path_factory.mktemp("drift")
    rows = []
    for i in range(PAIRS):
        for who in ("ada", "ben", "cleo"):
            row = judged_row("m", i, who, "base")
            rows.append(row | {"preference": 1 if len(row["output_1"]) > len(row["output_2"]) else 2})
    (folder / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told(folder / "farm.db", "import", "preferences", folder / "x.jsonl")
    asked(folder / "farm.db", OLD, "length")
    return folder / "farm.db"


@pytest.fixture(scope="module")
def drift(path: Path) -> Any:
    assert told(path, "audit", "--drift")["drift"] == []
    assert "no annotator judged the same pairs" in farm(path, "audit", "--drift").out
    asked(path, NEW, "random", "--replicates", 3)
    [found] = told(path, "audit", "--drift")["drift"]
    return found


def test_the_models_are_those_that_the_replies_name(drift: Any) -> None:
    assert (drift["annotator"], drift["before"], drift["after"]) == (
        "single-token",
        f"gpt-4o{OLD}",
        f"gpt-4o{NEW}",
    )
    assert drift["pairs"] == PAIRS


def test_the_figures_are_those_of_a_count_by_hand(drift: Any, path: Path) -> None:
    """The first judgement by each model, and a table of right before and right after."""
    with Ledger.open(path) as ledger:
        rows = answering_models(ledger)
        lengths = {pair.id: len(pair.output_a.text) - len(pair.output_b.text) for pair in ledger.pairs()}
    said: dict[str, dict[int, list[float]]] = {OLD: {}, NEW: {}}
    rows = rows.sort_values("replicate")
    columns = (rows[name].tolist() for name in ("model", "pair_id", "preference"))
    for model, pair, preference in zip(*columns, strict=True):
        said[model[-len(OLD) :]].setdefault(pair, []).append(preference)
    table = [[0, 0], [0, 0]]
    for pair, (first, *_) in said[OLD].items():
        longer = float(lengths[pair] > 0)
        table[int(first == longer)][int(said[NEW][pair][0] == longer)] += 1
    right = drift["shifts"]["right"]
    assert (right["lost"], right["gained"]) == (table[1][0], table[0][1])
    assert right["p"] == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert right["before"] == pytest.approx(sum(table[1]) / PAIRS)
    assert right["change"]["value"] == pytest.approx((right["gained"] - right["lost"]) / PAIRS)
    assert drift["changed"]["value"] == pytest.approx(
        sum(
            sum(new != old for old in said[OLD][pair] for new in each) / len(each)
            for pair, each in said[NEW].items()
        )
        / PAIRS
    )
    assert drift["retest"]["value"] == pytest.approx(
        sum(each[0] != each[1] for each in said[NEW].values()) / PAIRS
    )


def test_a_judge_that_was_replaced_is_found(drift: Any) -> None:
    right = drift["shifts"]["right"]
    assert right["change"]["high"] < 0
    assert right["p"] < 1e-3
    assert drift["changed"]["low"] > drift["retest"]["value"]
    assert drift["shifts"]["longer"]["change"]["high"] < 0
    assert set(drift["shifts"]) == {"right", "shown first", "longer"}


def test_it_is_shown(path: Path, drift: Any) -> None:
    seen = " ".join(farm(path, "audit", "--drift").out.split())
    assert f"single-token, from gpt-4o{OLD} to gpt-4o{NEW}, on 80 pairs" in seen
    assert "McNemar's p" in seen
    assert told(path, "audit")["drift"] is None
