"""What must not change a leaderboard does not: order, columns, names, and judgements that come twice."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.interchange.rows import ReadOptions
from db.ledger import Ledger
from farm.import_ import import_files
from farm.leaderboard import LeaderboardOptions, leaderboard, strengths
from tests.support.judged_models import judged_row

FOLDER = tempfile.TemporaryDirectory()
REFERENCE = "ref"
NAMES = {"ref": "zebra", "a": "lion", "b": "ant", "c": "yak"}
MODELS = ("a", "b", "c")
Rows = list[dict[str, Any]]
QUICK = settings(deadline=None, max_examples=6)


def row(model: str, i: int, verdict: float | None, who: str, replicate: int = 0) -> dict[str, Any]:
    """A verdict on a model's output, the first, as a row of the format `preferences`."""
    extra: dict[str, Any] = {"replicate": replicate} | ({"preference": verdict} if verdict == 0.7 else {})
    return judged_row(model, i, who, REFERENCE) | {
        "preference": {1.0: 1, 0.7: 1, 0.5: 0, 0.0: 2, None: None}[verdict],
        "meta": {"_farm": extra},
    }


def swapped(one: dict[str, Any]) -> dict[str, Any]:
    """The same judgement with the two outputs in each other's columns."""
    extra = dict(one["meta"]["_farm"])
    if "preference" in extra:
        extra["preference"] = 1 - extra["preference"]
    columns = {
        f"output_{here}{end}": one[f"output_{there}{end}"]
        for here, there in ((1, 2), (2, 1))
        for end in ("", "_model")
    }
    code = {1: 2, 2: 1}.get(one["preference"], one["preference"])
    return one | columns | {"preference": code, "order_swapped": True, "meta": {"_farm": extra}}


def renamed(one: dict[str, Any]) -> dict[str, Any]:
    """The same judgement with other names for the models."""
    columns = ("output_1_model", "output_2_model")
    return one | {column: NAMES[one[column]] for column in columns}


@st.composite
def judged(draw: st.DrawFn) -> Rows:
    """Verdicts of one or two people on three models' outputs, once or twice, some of them missing."""
    verdicts = st.sampled_from([1.0, 1.0, 0.7, 0.5, 0.0, None])
    rows = [
        row(model, i, draw(verdicts), who, replicate)
        for model in MODELS
        for i in range(draw(st.integers(0, 4)))
        for who in ("ada", "ben")
        for replicate in range(draw(st.integers(0, 2)))
    ]
    both = [
        row(model, i, float(i), "cleo") for model in MODELS for i in (0, 1)
    ]  # so that all strengths exist
    return [*rows, *both]


@cache
def empty() -> Path:
    """An empty ledger, made once and copied."""
    path = Path(FOLDER.name) / "x.db"
    Ledger.open(path, create=True).close()
    return path


def figures(*files: Rows, controls: tuple[str, ...] = ("none",), draws: int = 0) -> dict[str, Any]:
    """All figures of the leaderboard and of the strengths of these files, by model and name."""
    with tempfile.TemporaryDirectory() as folder, Ledger.open(shutil.copy(empty(), folder)) as ledger:
        for number, rows in enumerate(files):
            path = Path(folder) / f"{number}.jsonl"
            path.write_text("\n".join(map(json.dumps, rows)))
            import_files(ledger, "preferences", [path], ReadOptions(), lambda *_: None)
        met = {files[0][0]["output_1_model"], files[0][0]["output_2_model"]}
        [reference] = met & {REFERENCE, NAMES[REFERENCE]}
        options = LeaderboardOptions("human", draws=draws, reference=reference, controls=controls)
        boards: list[Any] = [leaderboard(ledger, options).to_json(), strengths(ledger, options).to_json()]
    return {
        f"{each['model']} {name} {place}": value
        for board in boards
        for each in board["models"]
        for name, found in each.items()
        if name != "model"
        for place, value in enumerate(found if isinstance(found, list) else [found])
    }


def same(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert set(first) == set(second)
    for name, value in first.items():
        known = isinstance(value, float)
        assert second[name] == (pytest.approx(value, abs=1e-9) if known else value), name


@QUICK
@given(rows=judged(), seed=st.integers(0, 99))
def test_row_order_changes_nothing(rows: Rows, seed: int) -> None:
    assert figures(random.Random(seed).sample(rows, len(rows))) == figures(rows)


@QUICK
@given(rows=judged(), seed=st.integers(0, 99))
def test_swapped_columns_change_nothing(rows: Rows, seed: int) -> None:
    chance = random.Random(seed)
    places = {one["item_id"]: chance.random() < 0.5 for one in rows}
    same(figures(rows), figures([swapped(one) if places[one["item_id"]] else one for one in rows]))


@QUICK
@given(rows=judged())
def test_other_names_of_the_models_change_nothing_but_names(rows: Rows) -> None:
    found = figures([renamed(one) for one in rows])
    old = {new: name for name, new in NAMES.items()}
    same(figures(rows), {" ".join([old[key.split()[0]], *key.split()[1:]]): found[key] for key in found})


@QUICK
@given(rows=judged(), again=st.sampled_from([{}, {"item_id": "another"}, {"source": "elsewhere"}]))
def test_judgements_that_come_twice_change_nothing(rows: Rows, again: dict[str, str]) -> None:
    """The same rows, the same judgements under another item, and from a second source move no count."""
    copies = [one | {column: f"{value}-{one['item_id']}" for column, value in again.items()} for one in rows]
    same(figures(rows), figures(rows, copies))


def test_controlled_rates_know_no_second_source_and_no_columns() -> None:
    chance = random.Random(3)
    rows = [row(model, i, chance.choice([1.0, 0.7, 0.0]), "ada") for model in "ab" for i in range(55)]
    options: dict[str, Any] = {"controls": ("length",), "draws": 20}
    first = figures(rows, **options)
    assert first["a length_controlled_win_rate 0"] is not None
    same(first, figures(rows, [one | {"source": "elsewhere"} for one in rows], **options))
    same(first, figures([swapped(one) if i % 3 else one for i, one in enumerate(rows)], **options))
