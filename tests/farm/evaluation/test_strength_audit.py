"""Strengths from import to audit: what is kept, how far it agrees, and that a round trip loses nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import pytest
from sqlalchemy import select

from db.ids import keyed_uniform
from db.ledger import Ledger
from db.tables import ANNOTATION, PAIR, STRENGTH
from tests.support.command_line import farm, told

QUESTIONS = 40
PEOPLE = ("ada", "ben", "cleo")


def said(who: str, question: int) -> int:
    """From -3 (response1 is much better) to 3: the truth and an error of one's own, a judge's larger."""
    truth = 7 * keyed_uniform("truth", question) - 3.5
    error = (3 if who == "judge" else 1.5) * (keyed_uniform(who, question) - 0.5)
    return round(min(max(truth + error, -3), 3))


def help_steer(path: Path, who: str) -> Path:
    rows = [
        {
            "context": [{"role": "user", "content": f"Question {i}"}],
            "response1": f"one {i}",
            "response2": f"two {i}",
            "overall_preference": said(who, i),
        }
        for i in range(QUESTIONS)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people and a judge, from HelpSteer 3's form."""
    folder = tmp_path_factory.mktemp("strengths")
    for who in (*PEOPLE, "judge"):
        kind = ("--kind", "llm") if who == "judge" else ()
        file = help_steer(folder / f"{who}.jsonl", who)
        report = told(folder / "farm.db", "import", "helpsteer3", file, "--annotator", who, *kind)
        assert (report["kept"], report["refused"]) == (QUESTIONS, 0)
    return folder / "farm.db"


@pytest.fixture(scope="module")
def audited(ledger: Path) -> Any:
    return told(ledger, "audit")["strengths"]


def kept(ledger: Path) -> dict[str, list[int]]:
    """What the ledger holds, by annotator: signed steps of output_a in the order of the pairs' texts."""
    with Ledger.open(ledger) as opened, opened.reading() as connection:
        names = {card.id: card.name for card in opened.annotators()}
        query = select(
            ANNOTATION.c.annotator_id, ANNOTATION.c.preference, STRENGTH.c.steps, STRENGTH.c.levels
        )
        query = query.join(STRENGTH, STRENGTH.c.annotation_id == ANNOTATION.c.id)
        rows = connection.execute(
            query.join(PAIR, PAIR.c.id == ANNOTATION.c.pair_id).order_by(PAIR.c.key)
        ).all()
    assert {row.levels for row in rows} == {3}
    found: dict[str, list[int]] = {}
    for row in rows:
        side = (row.preference > 0.5) - (row.preference < 0.5)
        found.setdefault(names[row.annotator_id], []).append(side * row.steps)
    return found


def test_an_import_keeps_how_much_better(ledger: Path) -> None:
    held = kept(ledger)
    assert set(held) == {*PEOPLE, "judge"}
    for who, values in held.items():
        expected = [abs(said(who, i)) for i in range(QUESTIONS)]
        assert sorted(map(abs, values)) == sorted(expected)


def test_a_round_trip_keeps_how_much_better(ledger: Path, tmp_path: Path) -> None:
    told(ledger, "export", "preferences", tmp_path / "rows.jsonl")
    told(tmp_path / "b.db", "import", tmp_path / "rows.jsonl")
    assert kept(tmp_path / "b.db") == kept(ledger)


def test_peoples_alpha_is_that_of_an_independent_library(ledger: Path, audited: Any) -> None:
    held = kept(ledger)
    data = np.array([held[who] for who in PEOPLE], float)
    expected = krippendorff.alpha(data, level_of_measurement="ordinal")
    found = audited["ordinal_alpha"]
    assert found["value"] == pytest.approx(expected)
    assert found["low"] < found["value"] < found["high"]


def row(audited: Any, who: str) -> Mapping[str, Any]:
    [found] = [each for each in audited["annotators"] if each["annotator"] == who]
    assert isinstance(found, Mapping)
    return found


@pytest.mark.parametrize("who", ["judge", "ada"])
def test_an_annotator_meets_the_median_of_the_others(ledger: Path, audited: Any, who: str) -> None:
    held = kept(ledger)
    median = np.median([held[each] for each in PEOPLE if each != who], axis=0)
    expected = krippendorff.alpha(np.array([held[who], median], float), level_of_measurement="ordinal")
    assert row(audited, who)["ordinal_alpha"]["value"] == pytest.approx(expected)
    assert row(audited, who)["n"] == QUESTIONS


def test_agreement_by_strength_is_counted_by_hand(audited: Any) -> None:
    right: dict[int, list[bool]] = {1: [], 2: [], 3: []}
    for i in range(QUESTIONS):
        sides = [np.sign(said(who, i)) for who in PEOPLE]
        modes = [side for side in (-1, 0, 1) if sides.count(side) == max(map(sides.count, (-1, 0, 1)))]
        mine = said("judge", i)
        if mine and len(modes) == 1:
            right[abs(mine)].append(bool(np.sign(mine) == modes[0]))
    found = row(audited, "judge")["agreement_by_strength"]
    assert {name: each["value"] for name, each in found.items()} == {
        f"{steps}/3": pytest.approx(np.mean(each)) for steps, each in right.items() if each
    }


def test_the_audit_prints_it(ledger: Path) -> None:
    seen = farm(ledger, "audit").out
    assert "\\n" not in seen
    assert "How much better: alpha on the ordinal scale; people with each other 0." in " ".join(seen.split())
    assert "right at 3/3" in seen


def test_who_says_only_which_has_no_strengths(tmp_path: Path) -> None:
    row = {"prompt": "Say hi.", "response_a": "hi", "response_b": "no", "winner": "a"}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    told(tmp_path / "farm.db", "import", tmp_path / "x.jsonl", "--yes", "--kind", "human")
    assert told(tmp_path / "farm.db", "audit")["strengths"] is None
