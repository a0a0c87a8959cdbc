"""What must not change an audit does not: how often, in what order and under what name one judges."""

from __future__ import annotations

import csv
import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.command_line import farm, told
from tests.support.judged_rows import (
    FIRST,
    HUMAN,
    LLM,
    NAN,
    SECOND,
    TIE,
    Kinds,
    Question,
    Row,
    audited,
    by_name,
)

CROWD: Kinds = {"ada": HUMAN, "ben": HUMAN, "cleo": HUMAN, "judge": LLM}
COUNTS = ("n", "units", "confusion")  # how many rows there are is told as it is


@st.composite
def once(draw: st.DrawFn) -> list[Row]:
    """Two to six questions, each judged at most once by each of three people and a judge."""
    verdicts = st.sampled_from([FIRST, FIRST, TIE, SECOND, 0.7, NAN, None])
    drawn = [(unit, who, draw(verdicts)) for unit in range(draw(st.integers(2, 6))) for who in CROWD]
    rows = [Row(unit, who, verdict, 0) for unit, who, verdict in drawn if verdict is not None]
    return [*rows, Row(0, "ada", FIRST, 0)] if not any(row.who == "ada" for row in rows) else rows


def both_orders(rows: Sequence[Row]) -> list[Row]:
    return [*rows, *(replace(row, swapped=1) for row in rows)]


def replicates(rows: Sequence[Row]) -> list[Row]:
    return [replace(row, replicate=number) for row in rows for number in range(3)]


def ada_alone_again(rows: Sequence[Row]) -> list[Row]:
    return [*rows, *(replace(row, replicate=1) for row in rows if row.who == "ada")]


def figures(found: Any) -> dict[str, Any]:
    """The values and bounds of one part of a report, without counts."""
    return {
        f"{name} {end}": interval[end]
        for name, interval in found["intervals"].items()
        for end in ("value", "low", "high")
    }


def same(one: Any, other: Any, tolerance: float = 1e-12) -> None:
    first, second = figures(one), figures(other)
    for name, value in first.items():
        near = tolerance if name.endswith("value") else 1e-9
        assert second[name] == (None if value is None else pytest.approx(value, abs=near)), name


@pytest.mark.parametrize("again", [both_orders, replicates, ada_alone_again])
@settings(deadline=None, max_examples=15)
@given(rows=once())
def test_people_who_judge_again_alike_change_nothing(
    again: Callable[[Sequence[Row]], list[Row]], rows: list[Row]
) -> None:
    first, second = audited(rows, CROWD, reference="human"), audited(again(rows), CROWD, reference="human")
    same(first["reference"], second["reference"])
    if again is ada_alone_again:
        people = [row for row in rows if row.who == "judge"]
        if people:
            same(by_name(first)["judge"], by_name(second)["judge"])


@settings(deadline=None, max_examples=15)
@given(rows=once())
def test_questions_that_stand_twice_change_nothing(rows: list[Row]) -> None:
    """Two items of the same texts: neither a figure nor a bound moves, for people and for the judge."""
    n = 1 + max(row.unit for row in rows)
    questions = [Question(pair=place) for place in range(n)]
    twice = [*rows, *(replace(row, unit=row.unit + n) for row in rows)]
    first = audited(rows, CROWD, questions, reference="human")
    second = audited(twice, CROWD, questions * 2, reference="human")
    same(first["reference"], second["reference"])
    for name, found in by_name(first).items():
        same(found, by_name(second)[name])


@settings(deadline=None, max_examples=15)
@given(rows=once(), seed=st.integers(0, 99))
def test_row_order_changes_nothing(rows: list[Row], seed: int) -> None:
    shuffled = random.Random(seed).sample(rows, len(rows))
    first, second = (audited(each, CROWD, reference="human") for each in (rows, shuffled))
    same(first["reference"], second["reference"])
    for name, found in by_name(first).items():
        same(found, by_name(second)[name])


@settings(deadline=None, max_examples=15)
@given(rows=once())
def test_no_bounds_have_width_0_or_leave_the_value_out(rows: list[Row]) -> None:
    report = audited(rows, CROWD, reference="human")
    for part in (report["reference"], *report["annotators"]):
        for name, found in part["intervals"].items():
            if found["low"] is not None:
                assert found["high"] - found["low"] > 1e-9, name
                assert found["low"] - 1e-9 <= found["value"] <= found["high"] + 1e-9, name


@pytest.mark.parametrize(
    ("people", "expected"), [(2, (5 / 8, 5 / 8)), (3, (5 / 8, 7 / 10)), (4, (43 / 64, 43 / 64))]
)
def test_a_judge_like_a_person_has_a_persons_figures(people: int, expected: tuple[float, float]) -> None:
    """Right three times in four on 10,000 questions, as each person is.

    expected: agreement with the others, and with their mode where there is one, by arithmetic. Verdicts
    are as often first as second, so kappa and alpha are twice the latter less 1.
    """
    agreement, majority = expected
    figures = {"agreement": agreement, "clear_majority_agreement": majority}
    figures |= dict.fromkeys(("kappa", "alpha"), 2 * majority - 1)
    rng, n = np.random.default_rng(people), 10_000
    names = [f"person-{i}" for i in range(people)]
    truth = rng.choice([FIRST, SECOND], n)
    kinds = dict.fromkeys(names, HUMAN) | {"judge": LLM}
    said = {who: np.where(rng.random(n) < 0.75, truth, 1 - truth).tolist() for who in kinds}
    rows = [Row(unit, who, verdict) for who, given_ in said.items() for unit, verdict in enumerate(given_)]
    found = by_name(audited(rows, kinds))
    for name, value in figures.items():
        for who in ("judge", "person-0"):
            assert found[who]["intervals"][name]["value"] == pytest.approx(value, abs=0.03), (who, name)
    lead = found["judge"]["intervals"]["over_people"]
    assert lead["value"] == pytest.approx(0, abs=0.02)
    assert lead["low"] < lead["value"] < lead["high"]
    assert found["person-0"]["intervals"]["over_people"]["value"] is None


@pytest.mark.parametrize("preference", [0.6, 0.99, 1.0])
def test_a_soft_judge_who_always_says_the_same_has_no_variance(preference: float) -> None:
    people = [Row(unit, who, FIRST) for unit in range(20) for who in ("ada", "ben")]
    judge = [Row(unit, "judge", preference, order) for unit in range(20) for order in (0, 1)]
    found = by_name(audited([*people, *judge], CROWD))["judge"]
    assert found["variance"] == found["bias"] == 0
    assert found["agreement"]["value"] == found["accuracy"]["value"] == found["order_consistency"] == 1
    assert found["position_bias"] == 0.5


def test_noise_is_not_told_to_beat_the_longer_output() -> None:
    """Of judges that toss a coin few are told to beat another coin: at most one bound in forty."""
    rng, told_yes = np.random.default_rng(0), 0
    for _ in range(60):
        verdicts = rng.choice([FIRST, SECOND], (2, 60))
        lengths = [(20, 10) if each else (10, 20) for each in rng.integers(0, 2, 60)]
        rows = [
            Row(u, who, v)
            for who, row in zip(("ada", "judge"), verdicts.tolist(), strict=True)
            for u, v in enumerate(row)
        ]
        found = by_name(audited(rows, {"ada": HUMAN, "judge": LLM}, [Question(each) for each in lengths]))
        told_yes += found["judge"]["beats_longest"] == "yes"
    assert told_yes <= 5


# ---- through files and the ledger


def judged(n: int = 40) -> list[dict[str, Any]]:
    """Three people and a judge on n questions, as rows of the format `preferences`."""
    rng = np.random.default_rng(4)
    rows: list[dict[str, Any]] = []
    for place in range(n):
        instruction = f"Question {place // 2}"
        for who in CROWD:
            rows.append(
                {
                    "source": "study",
                    "subset": None,
                    "item_id": f"q{place}",
                    "instruction_id": hashlib.sha256(instruction.lower().encode()).hexdigest()[:12],
                    "instruction": instruction,
                    "input": "",
                    "output_1": f"one {place}",
                    "output_2": f"another {place}",
                    "output_1_model": "a",
                    "output_2_model": "b",
                    "annotator": who,
                    "annotator_kind": CROWD[who].value,
                    "preference": int(rng.choice([1, 2, 1, 0])),
                    "preference_raw": None,
                    "order_swapped": False,
                    "raw_completion": None,
                    "scores": None,
                    "meta": {},
                }
            )
    return rows


def report_of(folder: Path, name: str, *files: Sequence[dict[str, Any]]) -> Any:
    paths = []
    for number, rows in enumerate(files):
        paths.append(folder / f"{name}-{number}.jsonl")
        paths[-1].write_text("\n".join(map(json.dumps, rows)))
    told(folder / f"{name}.db", "import", "preferences", *paths)
    return told(folder / f"{name}.db", "audit")


def test_people_agree_alike_however_their_judgements_come(tmp_path: Path) -> None:
    rows = judged()
    first = report_of(tmp_path, "once", rows)
    assert first["reference"]["intervals"]["agreement"]["value"] < 0.9
    swapped = [row | {"order_swapped": True} for row in rows]
    items = [row | {"item_id": f"again-{row['item_id']}"} for row in rows]
    other = [row | {"source": "elsewhere", "item_id": f"other-{row['item_id']}"} for row in rows]
    again = [row | {"meta": {"_farm": {"replicate": 1}}} for row in rows]
    same_item = [row | {"source": "elsewhere"} for row in rows]
    shuffled = random.Random(1).sample(rows, len(rows))
    ways = {
        "orders": ([*rows, *swapped],),
        "replicates": ([*rows, *again],),
        "items": ([*rows, *items],),
        "files": (rows, other),
        "sources": (rows, same_item),
        "shuffled": (shuffled,),
    }
    for name, files in ways.items():
        found = report_of(tmp_path, name, *files)
        same(first["reference"], found["reference"])
        if name not in (
            "orders",
            "replicates",
            "sources",
        ):  # there the judge says each twice, so that it has a variance
            same(by_name(first)["judge"], by_name(found)["judge"])


def test_screen_page_csv_and_json_say_the_same(tmp_path: Path) -> None:
    """Each annotator's figures, with as many digits as each of them shows."""
    path, page, sheet = (tmp_path / name for name in ("x.db", "x.html", "x.csv"))
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, judged())))
    told(path, "import", "preferences", tmp_path / "x.jsonl")
    report = told(path, "audit", "--csv", sheet)
    shown = [line.split() for line in farm(path, "audit").out.splitlines()]
    assert farm(path, "report", page).code == 0
    html = page.read_text()
    table = {
        row["annotator"]: row for row in csv.DictReader(sheet.read_text().splitlines()) if row["agreement"]
    }
    for who, found in by_name(report).items():
        for name, interval in found["intervals"].items():
            for end, column in (("value", name), ("low", f"{name}_low"), ("high", f"{name}_high")):
                if column in table[who]:
                    cell = table[who][column]
                    assert (float(cell) if cell else None) == interval[end], (who, column)
        both = [found["intervals"][name] for name in ("agreement", "accuracy")]
        cells = [
            part for m in both for part in (f"{m['value']:.3f}", f"[{m['low']:.2f},", f"{m['high']:.2f}]")
        ]
        [line] = [line for line in shown if line[:1] == [who] and len(line) > 9]
        assert line[3:9] == cells
        assert line[9:12] == [f"{found[name]:.3f}" for name in ("constant", "kappa", "ac1")]
        start = f"{who}</th><td>{found['kind']}</td>"
        rows = [part.split("</tr>")[0] for part in html.split('<th scope="row">') if part.startswith(start)]
        told_ = [f"{100 * m['value']:.1f} % [{100 * m['low']:.1f}, {100 * m['high']:.1f}]" for m in both]
        told_ += [f"{100 * found[name]:.1f} %" for name in ("bias", "position_bias")]
        assert any(all(each in row for each in told_) for row in rows), (told_, rows)
