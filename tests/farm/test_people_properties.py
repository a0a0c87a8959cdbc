"""`farm people`: its figures in plain Python, and what must not change them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.ledger import Ledger
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Item, Output, Pair
from farm.evaluation.scope import EVERYTHING, Scope
from farm.people import may_replace, people_win_rate
from farm.terminal.people import WORDS
from tests.support.command_line import farm, told

KINDS = dict.fromkeys(("ada", "ben", "cleo"), AnnotatorKind.HUMAN) | {"judge": AnnotatorKind.LLM}
MODEL = Scope(model="model")
PER_INSTRUCTION = 2  # pairs


@dataclass(frozen=True)
class Said:
    """A judgement of the pair at a place: P(model preferred)."""

    place: int
    who: str
    preference: float
    swapped: bool = False
    replicate: int = 0
    item: str | None = None  # the source that it came from


Change = Callable[[Sequence[Said]], list[Said]]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty ledger, to be copied."""
    path = tmp_path_factory.mktemp("empty") / "farm.db"
    Ledger.open(path, create=True).close()
    return path


def pair_of(place: int, names: Mapping[str, str]) -> tuple[Pair, bool]:
    asked = Instruction(f"Instruction {place // PER_INSTRUCTION}.")
    good, bad = Output(asked, f"good {place}", names["model"]), Output(asked, f"bad {place}", names["base"])
    return Pair.of(good, bad)


def written(empty: Path, rows: Sequence[Said], names: Mapping[str, str] | None = None) -> Path:
    """A ledger of these judgements, in this order."""
    called = names or {"model": "model", "base": "base"}
    path = Path(shutil.copy(empty, empty.with_name("made.db")))
    with Ledger.open(path) as ledger, ledger.writing() as writer:
        pairs = [pair_of(row.place, called) for row in rows]
        ids = writer.pairs([pair for pair, _ in pairs])
        who = writer.annotators([AnnotatorCard(row.who, KINDS[row.who]) for row in rows])
        facts = []
        for row, number, annotator, (pair, flipped) in zip(rows, ids, who, pairs, strict=True):
            item = None
            if row.item:
                [item] = writer.items([Item(row.item, f"{row.item} {row.place}", pair, flipped)])
            p = 1 - row.preference if flipped else row.preference
            facts.append(
                Annotation(number, annotator, p, p, row.swapped, replicate=row.replicate, item_id=item)
            )
        writer.annotations(facts)
    return path


def study(seed: int, n: int = 40) -> list[Said]:
    """A judge on n pairs, people with ties on some of them, not all on the same."""
    dice = random.Random(seed)
    rows = []
    for place in range(n):
        truth = float(dice.random() < 0.6)
        for who in KINDS:
            if who == "judge" or (place % 4 < 2 and dice.random() < 0.8):
                said = dice.choices([truth, 1 - truth, 0.5], [0.85, 0.1, 0.05])[0]
                rows.append(Said(place, who, said))
    return rows


def found(path: Path, scope: Scope = MODEL) -> dict[str, Any]:
    with Ledger.open(path) as ledger:
        report = people_win_rate(ledger, "judge", scope, half_width=0.2).to_json()
    made: Any = json.loads(json.dumps(report))
    return dict(made)


def alike(one: Any, other: Any, without: Sequence[str] = ()) -> None:
    """The same figures, but for rounding and for what is named in `without`."""
    if isinstance(one, dict):
        for name in one.keys() - set(without):
            alike(one[name], other[name], without)
    elif isinstance(one, list):
        for of_one, of_other in zip(one, other, strict=True):
            alike(of_one, of_other)
    elif isinstance(one, float):
        assert other == pytest.approx(one, abs=1e-9)
    else:
        assert other == one


def test_win_rates_in_plain_python(empty: Path) -> None:
    """One vote a person; the mean of each pair; lambda and the estimate by their equations."""
    rows = study(1)
    rows += [replace(row, replicate=1, preference=1 - row.preference) for row in rows if row.who == "ada"]
    report = found(written(empty, rows))
    said: dict[int, dict[str, list[float]]] = {}
    for row in rows:
        said.setdefault(row.place, {}).setdefault(row.who, []).append(row.preference)
    judge = {place: fmean(given_["judge"]) for place, given_ in said.items()}
    human = {
        place: fmean(fmean(own) for who, own in given_.items() if who != "judge")
        for place, given_ in said.items()
        if given_.keys() - {"judge"}
    }
    assert report["judge"]["value"] == pytest.approx(fmean(judge.values()), abs=1e-12)
    assert report["people"]["value"] == pytest.approx(fmean(human.values()), abs=1e-12)
    y, f = np.array(list(human.values())), np.array([judge[place] for place in human])
    rest = np.array([value for place, value in judge.items() if place not in human])
    assert report["prediction_powered"]["n"] == len(y)
    power = report["prediction_powered"]["power"]
    assert 0 < power < 1
    assert len(rest) == report["prediction_powered"]["n_unlabelled"]
    expected = y.mean() + power * (rest.mean() - f.mean())
    assert report["prediction_powered"]["value"] == pytest.approx(expected, abs=1e-12)


def one_again(rows: Sequence[Said]) -> list[Said]:
    return [*rows, *(replace(row, replicate=1) for row in rows if row.who == "ada")]


def both_orders(rows: Sequence[Said]) -> list[Said]:
    return [*rows, *(replace(row, swapped=True) for row in rows if row.who != "judge")]


def doubled(rows: Sequence[Said]) -> list[Said]:
    return [replace(row, item=source) for source in ("one file", "another") for row in rows]


@pytest.mark.parametrize("change", [one_again, both_orders, doubled])
@settings(deadline=None, max_examples=3)
@given(seed=st.integers(0, 999))
def test_judging_again_alike_changes_no_win_rate(empty: Path, change: Change, seed: int) -> None:
    rows = study(seed)
    alike(found(written(empty, rows)), found(written(empty, change(rows))))


@settings(deadline=None, max_examples=3)
@given(seed=st.integers(0, 999))
def test_row_order_and_names_change_nothing(empty: Path, seed: int) -> None:
    rows = study(seed)
    first = found(written(empty, rows))
    shuffled = random.Random(seed).sample(rows, len(rows))
    path = written(empty, shuffled, {"model": "zz", "base": "aa"})
    alike(first, found(path, Scope(model="zz")), without=["of"])
    mirrored = found(path, Scope(model="aa"))
    for name in ("judge", "people", "prediction_powered"):
        assert mirrored[name]["value"] == pytest.approx(1 - first[name]["value"], abs=1e-9), name


@settings(deadline=None, max_examples=3)
@given(seed=st.integers(0, 999))
def test_replacement_hangs_on_no_order_and_no_second_judgement(empty: Path, seed: int) -> None:
    rows = study(seed, 60)

    def tested(rows: Sequence[Said]) -> Any:
        with Ledger.open(written(empty, rows)) as ledger:
            [told_] = may_replace(ledger, min_items=5, epsilons=(0.1,))
        return json.loads(json.dumps(told_.to_json()))

    first = tested(rows)
    assert first["tests"][0]["n"] if "n" in first["tests"][0] else first["tests"]
    alike(first, tested(random.Random(seed).sample(rows, len(rows))))
    alike(first, tested(one_again(rows)))


def test_screen_and_json_say_the_same(empty: Path) -> None:
    path = written(empty, study(3))
    shown = farm(path, "people", "win-rate", "judge", "--model", "model", "--half-width", "0.2").out
    report = told(path, "people", "win-rate", "judge", "--model", "model", "--half-width", "0.2")
    rows = [line.split() for line in shown.splitlines()]
    for name, label in WORDS.items():
        part = report[name].get("interval", report[name])
        counts = [str(number) for number in report["counts"][name].values()]
        bounds = [f"{part['value']:.3f}", f"[{part['low']:.2f},", f"{part['high']:.2f}]"]
        assert [label, *counts, *bounds] in rows, shown
    assert f"+-0.2 needs {report['plan']['n']} human labels" in shown


def test_one_label_and_one_verdict(empty: Path) -> None:
    """With n = 1 there are values without bounds, and reasons for the rest."""
    report = found(written(empty, [Said(0, "ada", 1.0), Said(0, "judge", 0.0)]), EVERYTHING)
    assert [report[name]["low"] for name in ("judge", "people")] == [None, None]
    assert all("refused" in report[name] for name in ("rogan_gladen", "prediction_powered", "plan"))
