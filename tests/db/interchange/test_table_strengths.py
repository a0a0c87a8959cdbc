"""Strength of preference in any table: scales of points, words with steps, the ledger and exports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from db.errors import ConfigError
from db.interchange.rows import Refusal
from db.interchange.table import arguments, load, mapping_of, save
from db.ledger import Ledger
from db.queries.strengths import strengths
from db.records import Degree
from tests.db.interchange.test_table import PAIR, ROW, judged, read
from tests.support.command_line import told


@pytest.mark.parametrize(
    ("scale", "points"),
    [
        ("1..5", {1: (1.0, 2), 2: (1.0, 1), 3: (0.5, 0), 4: (0.0, 1), 5: (0.0, 2)}),
        ("-3..3", {-3: (1.0, 3), -1: (1.0, 1), 0: (0.5, 0), 2: (0.0, 2), 3: (0.0, 3)}),
        ("7..1", {7: (1.0, 3), 5: (1.0, 1), 4: (0.5, 0), 1: (0.0, 3)}),
        ("1..4", {1: (1.0, 2), 2: (1.0, 1), 3: (0.0, 1), 4: (0.0, 2)}),
    ],
)
def test_a_scale_keeps_the_strength_beside_the_side(
    tmp_path: Path, scale: str, points: dict[int, tuple[float, int]]
) -> None:
    rows = [ROW | {"label": value} for value in points]
    found = judged(tmp_path / "x.jsonl", rows, *PAIR, verdict=f"label:{scale}")
    levels = {"1..5": 2, "1..4": 2}.get(scale, 3)
    assert [(row.preference, row.degree) for row in found] == [
        (side, Degree(steps, levels)) for side, steps in points.values()
    ]
    [beyond] = read(tmp_path / "x.jsonl", [ROW | {"label": 8}], *PAIR, verdict=f"label:{scale}")
    assert isinstance(beyond, Refusal)


GRADED = "label:much a=first 2/2,a bit a=first 1/2,same=tie,b=second"


def test_words_have_steps_where_they_are_said(tmp_path: Path) -> None:
    rows = [ROW | {"label": word} for word in ("much A", "a bit a", "same", "b")]
    found = judged(tmp_path / "x.jsonl", rows, *PAIR, verdict=GRADED)
    assert [(row.preference, row.degree) for row in found] == [
        (1.0, Degree(2, 2)), (1.0, Degree(1, 2)), (0.5, Degree(0, 2)), (0.0, None),
    ]  # fmt: skip


@pytest.mark.parametrize("verdict", [GRADED, "label:1..5", "label:3..-3"])
def test_strengths_survive_as_options_and_in_a_saved_mapping(
    tmp_path: Path, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mapping = mapping_of(PAIR, verdict)
    assert mapping.degrees
    words = arguments(mapping)
    assert mapping_of(PAIR, words[words.index("--verdict") + 1]) == mapping
    save(mapping, "graded")
    assert load("graded") == mapping


@pytest.mark.parametrize("wrong", ["a=first 3/2", "a=tie 1/2", "a=first 0/2", "a=first 1", "2..2", "0..900"])
def test_a_strength_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="--verdict has"):
        mapping_of(PAIR, f"label:{wrong}")


def test_strengths_go_through_the_ledger_and_an_export(tmp_path: Path) -> None:
    """A seven-point column of two people, into a ledger, out in our own format, and into another ledger."""
    said = [(f"Say {i}.", who, 1 + (i + k) % 7) for i in range(9) for k, who in enumerate(("ada", "ben"))]
    rows = [ROW | {"question": asked, "who": who, "label": point} for asked, who, point in said]
    (tmp_path / "people.jsonl").write_text("\n".join(map(json.dumps, rows)))
    maps = [word for each in (*PAIR, "annotator=who") for word in ("--map", each)]
    one, other, file = tmp_path / "one.db", tmp_path / "other.db", tmp_path / "out.jsonl"
    told(one, "import", "table", tmp_path / "people.jsonl", *maps, "--verdict", "label:1..7")
    told(one, "export", "preferences", file)
    told(other, "import", "preferences", file)
    found = []
    for path in (one, other):
        with Ledger.open(path) as ledger:
            who = {card.id: card.name for card in ledger.annotators()}
            frame = strengths(ledger)
        columns = (frame[name].tolist() for name in ("annotator", "steps", "levels", "lead"))
        found.append(sorted((who[code], *rest) for code, *rest in zip(*columns, strict=True)))
    assert found[0] == found[1]
    assert sorted(abs(lead) * 3 for *_, lead in found[0]) == pytest.approx(
        sorted(abs(point - 4) for *_, point in said)
    )
    assert told(one, "audit")["strengths"]["annotators"][0]["n"] == 9
