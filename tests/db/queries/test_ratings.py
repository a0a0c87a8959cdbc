"""Judgements of single outputs go in, come out and go in again; snapshots freeze them for training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from db.errors import ConfigError
from db.interchange.rows import RatedOutput
from db.ledger import Ledger
from db.maintenance import merge
from db.queries.exports import RowFilter
from db.queries.ratings import RatingRows, rated
from db.records import AnnotatorKind
from farm.snapshot import Choice, snapshot
from tests.support.command_line import refused, told

ANY = RowFilter()
KTO: list[dict[str, Any]] = [
    {"instruction": "Add.", "input": "1 1", "output": "2", "kto_tag": True, "id": 7},
    {"instruction": "Add.", "input": "1 1", "output": "3", "kto_tag": False, "note": {"by": ["ada"]}},
    {"instruction": "Say hi.", "input": "", "output": "hi", "kto_tag": True},
]


def taken(ledger: Path, folder: Path, name: str, rows: list[dict[str, Any]], *said: str) -> Any:
    """The report of an import of these rows."""
    (folder / name).write_text("\n".join(map(json.dumps, rows)))
    return told(ledger, "import", *said, folder / name)


def held(path: Path) -> list[RatedOutput]:
    with Ledger.open(path) as ledger:
        return list(RatingRows(ledger, ANY))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    report = taken(tmp_path / "a.db", tmp_path, "kto.jsonl", KTO, "llama-factory")
    assert (report["kept"], report["known"], report["refused"]) == (3, 0, 0)
    return tmp_path / "a.db"


def test_kto_rows_are_ratings_and_no_sets(ledger: Path) -> None:
    first, second, third = held(ledger)
    assert (first.output, first.label, first.input, first.source) == ("2", 1.0, "1 1", "kto")
    assert (second.label, second.meta) == (0.0, {"note": {"by": ["ada"]}})
    assert (third.annotator, third.annotator_kind) == ("kto", AnnotatorKind.HUMAN)
    counts = told(ledger, "status")["counts"]
    assert (counts["rating"], counts["membership"], counts["annotation"]) == (3, 0, 0)


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".parquet"])
def test_a_round_trip_loses_nothing_and_adds_nothing(ledger: Path, tmp_path: Path, ending: str) -> None:
    beside = {"prompt": "x", "label": True, "rating": 0.75, "model": "m", "item_id": "i"}
    soft = [beside | {"completion": said, "score": score} for said, score in (("y", 4), ("z", 4.5))]
    assert taken(ledger, tmp_path, "soft.jsonl", soft, "trl-unpaired", "--annotator", "ada")["kept"] == 2
    file = tmp_path / f"out{ending}"
    assert told(ledger, "export", "trl-unpaired", file)["rows"] == 5
    again = told(ledger, "import", "trl-unpaired", file)
    other = told(tmp_path / "b.db", "import", "trl-unpaired", file)
    assert (other["kept"], other["refused"]) == (5, 0)
    assert held(tmp_path / "b.db") == held(ledger)
    assert (again["kept"], again["known"]) == (0, 5)


def test_two_labels_of_one_output_are_both_kept_and_a_repeated_row_is_known(tmp_path: Path) -> None:
    row = {"prompt": "x", "completion": "y", "label": True}
    report = taken(tmp_path / "a.db", tmp_path, "x.jsonl", [row, row, row | {"label": False}], "trl-unpaired")
    assert (report["kept"], report["known"]) == (2, 1)


def test_a_snapshot_has_each_output_once_and_every_annotator_weighs_the_same(tmp_path: Path) -> None:
    said = [("ada", True), ("ada", False), ("bob", True)]
    rows = [{"prompt": "x", "completion": "y", "label": label, "annotator": who} for who, label in said]
    taken(tmp_path / "a.db", tmp_path, "x.jsonl", [*rows, {**rows[0], "completion": "z"}], "trl-unpaired")
    with Ledger.open(tmp_path / "a.db") as ledger:
        whole = snapshot(ledger, "all", Choice(unpaired=True)).card
        assert (whole.rows, whole.unpaired) == (4, True)
        assert snapshot(ledger, "all", Choice(unpaired=True)).card == whole
        labels = {each.output: each.label for each in rated(ledger, whole.id)}
        assert labels == {"y": 0.75, "z": 1.0}
        assert snapshot(ledger, "bob", Choice(unpaired=True, annotators=("bob",))).card.rows == 1
        with pytest.raises(ConfigError, match="nothing to freeze"):
            snapshot(ledger, "pairs", Choice())
    assert "exclude each other" in refused(
        tmp_path / "a.db", "snapshot", "s", "--unpaired", "--average-orders"
    )


def test_a_merger_brings_ratings_once(ledger: Path, tmp_path: Path) -> None:
    with Ledger.open(ledger) as theirs, Ledger.open(tmp_path / "b.db", create=True) as ours:
        assert merge(ours, theirs).added["rating"] == 3
        assert merge(ours, theirs).added["rating"] == 0
        assert list(RatingRows(ours, ANY)) == list(RatingRows(theirs, ANY))
        assert not list(RatingRows(ours, RowFilter(source="none")))
