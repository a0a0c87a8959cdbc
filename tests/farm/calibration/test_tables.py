"""A panel that combines by Dawid and Skene's tables: fitted beside people, and refused without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators import catalogue
from annotators.composite import Composite
from annotators.panel import PanelRule
from db.records import AnnotatorCard, AnnotatorKind
from tests.support.command_line import farm, refused, told
from tests.support.known_pools import Said, pairs_of, write

PAIRS = pairs_of(500)
RIGHT = (0.92, 0.7, 0.7, 0.6)  # how often each rule is right
RULES = ("longest", "shortest", "first", "random")
PANEL = "kind: panel\nname: four\ncombine: dawid-skene\nmembers: [{}]\n"


def members(file: Path) -> list[AnnotatorCard]:
    """The cards of the panel's members, whose judgements are written by hand here."""
    loaded = catalogue.load(str(file))
    assert isinstance(loaded, Composite)
    return [member.card for member in loaded.members]


def study(
    folder: Path, right: tuple[float, ...] = RIGHT, people: int = 3, of: int = 500
) -> tuple[Path, Path]:
    """A ledger in which each member is right so often, independently, and people nearly always."""
    file = folder / "four.yaml"
    file.write_text(PANEL.format(", ".join(f"{{annotator: {name}}}" for name in RULES)))
    dice = np.random.default_rng(1)
    truth = dice.random(len(PAIRS)) < 0.5
    said: list[Said] = [
        (card, np.where(dice.random(len(PAIRS)) < chance, truth, ~truth).astype(float))
        for card, chance in zip(members(file), right, strict=True)
    ]
    ledger = write(folder / "farm.db", PAIRS, *said)
    voters = [AnnotatorCard(f"person-{k}", AnnotatorKind.HUMAN) for k in range(people)]
    votes: list[Said] = [
        (card, np.where(dice.random(of) < 0.97, truth[:of], ~truth[:of]).astype(float)) for card in voters
    ]
    write(ledger, PAIRS[:of], *votes)
    return ledger, file


def test_tables_are_fitted_and_the_panel_beats_its_best_member(tmp_path: Path) -> None:
    ledger, file = study(tmp_path, right=(0.8, 0.75, 0.75, 0.75))
    assert "confusion tables are not fitted yet" in refused(ledger, "annotate", file)
    found = told(ledger, "annotators", "calibrate", file, "--out", tmp_path / "fitted.yaml")
    assert found["usable"] == "yes"
    assert found["lead"]["low"] > 0
    assert found["questions"] == len(PAIRS)
    expected = dict(zip(RULES, (0.8, 0.75, 0.75, 0.75), strict=True))
    assert found["reliability"] == pytest.approx(expected, abs=0.06)
    loaded = catalogue.load(str(tmp_path / "fitted.yaml"))
    assert isinstance(loaded, Composite)
    assert isinstance(loaded.rule, PanelRule)
    assert loaded.rule.reliability is not None
    judged = told(ledger, "annotate", tmp_path / "fitted.yaml")
    assert (judged["statuses"], judged["fingerprint"]) == ({"ok": len(PAIRS)}, found["fingerprint"])
    audit = told(ledger, "audit")
    right = {each["annotator"]: each["accuracy"]["value"] for each in audit["annotators"]}
    assert right["fitted"] == pytest.approx(found["accuracy"], abs=0.01)
    assert right["fitted"] > max(right[name] for name in RULES)


def test_without_people_nothing_is_fitted(tmp_path: Path) -> None:
    ledger, file = study(tmp_path, of=20)
    out = tmp_path / "fitted.yaml"
    said = refused(ledger, "annotators", "calibrate", file, "--out", out)
    assert "at least 30 questions that people judged too" in said
    assert not out.exists()


def test_a_panel_that_is_worse_than_one_of_its_members_is_refused(tmp_path: Path) -> None:
    """Three members that make the same mistakes outvote the good one; the model believes them."""
    file = tmp_path / "four.yaml"
    file.write_text(PANEL.format(", ".join(f"{{annotator: {name}}}" for name in RULES)))
    dice = np.random.default_rng(1)
    truth = dice.random(len(PAIRS)) < 0.5
    good = np.where(dice.random(len(PAIRS)) < 0.9, truth, ~truth).astype(float)
    same = np.where(dice.random(len(PAIRS)) < 0.6, truth, ~truth).astype(float)
    said: list[Said] = list(zip(members(file), (good, same, same, same), strict=True))
    people: list[Said] = [(AnnotatorCard("ada", AnnotatorKind.HUMAN), truth.astype(float))]
    ledger = write(tmp_path / "farm.db", PAIRS, *said, *people)
    told_so = refused(ledger, "annotators", "calibrate", file, "--out", tmp_path / "out.yaml")
    assert "take longest alone, or other members" in told_so
    assert not (tmp_path / "out.yaml").exists()


def test_what_it_says(tmp_path: Path) -> None:
    ledger, file = study(tmp_path, right=(0.8, 0.75, 0.75, 0.75))
    said: Any = farm(ledger, "annotators", "calibrate", file, "--out", tmp_path / "fitted.yaml")
    assert (said.code, "reliability" in said.out, "a lead of +0." in said.out) == (0, True, True)
