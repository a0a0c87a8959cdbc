"""Chances of strengths: fitted to people, checked on others, and read again for nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators.simulator import Judge
from db.ledger import Ledger
from db.queries.strengths import strengths
from db.records import Annotation, AnnotatorCard, AnnotatorKind
from tests.support.command_line import farm, refused, told
from tests.support.known_members import served
from tests.support.known_pools import pairs_of, write

PAIRS = pairs_of(400)
CHANCES = (0.65, 0.9)  # people's, by the judge's steps
JUDGE = Judge(utility="random", noise=1.0)


def people(ledger: Path, chances: tuple[float, float]) -> None:
    """Three people who prefer what the judge prefers with these chances."""
    dice = np.random.default_rng(5)
    with Ledger.open(ledger) as opened:
        rows = strengths(opened)
        with opened.writing() as writer:
            for k in range(3):
                [number] = writer.annotators([AnnotatorCard(f"person-{k}", AnnotatorKind.HUMAN)])
                same = dice.random(len(rows)) < np.array(chances)[rows["steps"] - 1]
                said = np.where(same == (rows["lead"] > 0), 1.0, 0.0)
                both = zip(rows["pair_id"].tolist(), said.tolist(), strict=True)
                writer.annotations([Annotation(pair, number, p, p, None) for pair, p in both])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("strengths")
    ledger = write(folder / "farm.db", PAIRS)
    with served({"m": JUDGE}) as simulator:
        base = ("--base-url", simulator.base_url, "--model", "m")
        told(ledger, "annotate", "five-point", *base)
        hits = simulator.stats().hits
        people(ledger, CHANCES)
        out = folder / "soft" / "annotator.yaml"
        found = told(ledger, "annotators", "calibrate", "five-point", "--out", out, "--model", "m")
        again = told(ledger, "annotate", folder / "soft", "--base-url", simulator.base_url)
        assert simulator.stats().hits == hits == len(PAIRS)
    return {"ledger": ledger, "found": found, "again": again, "folder": folder}


def test_the_chances_are_peoples_and_are_checked_on_other_instructions(study: dict[str, Any]) -> None:
    found = study["found"]
    assert sum(found["counts"]) == found["pairs"]["fitted"]
    assert sum(found["pairs"].values()) == len(PAIRS)
    for fitted, chance, count in zip(found["chances"], CHANCES, found["counts"], strict=True):
        assert abs(fitted - chance) < 4 * np.sqrt(chance * (1 - chance) / (3 * count))
    assert found["better"] == "yes"
    gain = found["brier"]["gain"]
    assert gain["value"] == pytest.approx(found["brier"]["before"] - found["brier"]["after"])
    assert 0 < gain["low"] < gain["value"] < gain["high"]


def test_the_new_annotator_reads_the_stored_replies_as_soft_preferences(study: dict[str, Any]) -> None:
    assert (study["again"]["requests"], study["again"]["statuses"]) == (0, {"ok": len(PAIRS)})
    slight, clear = study["found"]["chances"]
    rows = study["folder"] / "rows.jsonl"
    farm(study["ledger"], "export", "preferences", rows, "--annotator", "soft")
    seen = {
        round(max(p, 1 - p), 4)
        for line in rows.read_text().splitlines()
        for p in [json.loads(line)["meta"]["_farm"]["preference"]]
    }
    assert seen == {slight, clear}
    shown = farm(study["ledger"], "annotators", "calibrate", "five-point", "--out",
                 study["folder"] / "other" / "annotator.yaml", "--model", "m").out  # fmt: skip
    assert "people prefer the same" in shown


def test_what_cannot_be_fitted_is_one_line(study: dict[str, Any], tmp_path: Path) -> None:
    ledger, given = study["ledger"], ("annotators", "calibrate", "five-point", "--model", "m")
    assert "is a folder with annotator.yaml" in refused(ledger, *given, "--out", tmp_path / "soft.yaml")
    out = tmp_path / "new" / "annotator.yaml"
    far = tmp_path / "not" / "there" / "annotator.yaml"
    assert "there is no such folder" in refused(ledger, *given, "--out", far)
    assert "no pair that people judged" in refused(ledger, *given[:3], "--model", "other", "--out", out)
    assert "pairs with a strength" in refused(ledger, *given, "--out", out, "--held-out", 0.99)
    assert not out.parent.exists()
