"""`farm export`: files that are read again as they were written, whole or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.command_line import farm, refused, told
from tests.support.full_disk import full_disk


@pytest.fixture(scope="module")
def ledger(sums_ledger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of the 1,200 judgements, for this file to write to."""
    return Path(shutil.copy(sums_ledger, tmp_path_factory.mktemp("ledger")))


def test_export_round_trips_and_appears_whole_or_not_at_all(ledger: Path, tmp_path: Path) -> None:
    assert told(ledger, "export", "preferences", tmp_path / "x.parquet")["rows"] >= 1200
    assert (
        told(tmp_path / "y.db", "import", "preferences", tmp_path / "x.parquet", "--source", "x")["refused"]
        == 0
    )
    again = farm(ledger, "export", "preferences", tmp_path / "x.parquet")
    assert again.code == 1
    assert "file of this name" in again.error
    assert farm(ledger, "export", "trl", tmp_path / "x.csv").code == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.parquet", "x.parquet.card.md", "y.db"]


def test_what_is_asked_for_is_what_is_written(ledger: Path, sums: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in sums.read_text().splitlines()]
    wanted = [row for row in rows if (row["annotator"], row["subset"]) == ("ada", "odd")]
    asked = ("--annotator", "ada", "--subset", "odd", "--source", "sums")
    report = told(ledger, "export", "preferences", tmp_path / "x.jsonl", *asked)
    written = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert report["rows"] == len(written) == len(wanted)
    facts = ("instruction", "output_1", "output_2", "preference", "annotator", "subset")
    assert sorted([row[name] for name in facts] for row in written) == sorted(
        [row[name] for name in facts] for row in wanted
    )
    assert report["card"] == str(tmp_path / "x.jsonl.card.md")
    assert "| ada | human |" in Path(report["card"]).read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsuch", "x.jsonl"], "there is no format 'nonsuch'"),
        (["pandalm", "x.json"], "pandalm is read and not written (one of "),
        (["trl", "x.csv"], "trl is not written to such a file (end its name in "),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(
    ledger: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    assert message in refused(ledger, "export", arguments[0], tmp_path / arguments[1])
    assert list(tmp_path.iterdir()) == []


def test_no_ledger_is_made_to_export_from(tmp_path: Path) -> None:
    assert "there is no ledger here" in refused(tmp_path / "no.db", "export", "trl", tmp_path / "x.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_card_without_its_file_is_replaced_and_another_file_stays(ledger: Path, tmp_path: Path) -> None:
    """A run that was killed between card and file leaves the card alone."""
    file, card = tmp_path / "x.jsonl", tmp_path / "x.jsonl.card.md"
    told(ledger, "export", "preferences", file)
    written = file.read_bytes(), card.read_bytes()
    file.unlink()
    told(ledger, "export", "preferences", file)
    assert (file.read_bytes(), card.read_bytes()) == written
    file.unlink()
    card.write_text("notes of mine")
    assert "no earlier output" in refused(ledger, "export", "preferences", file)
    assert (card.read_text(), file.exists()) == ("notes of mine", False)


def test_equal_exports_have_equal_bytes(ledger: Path, tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        told(ledger, "export", "preferences", tmp_path / name)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


def test_a_full_disk_is_a_line_and_leaves_nothing(ledger: Path, tmp_path: Path) -> None:
    with full_disk(36_000):
        said = refused(ledger, "export", "preferences", tmp_path / "x.jsonl")
    assert "cannot be written" in said
    assert list(tmp_path.iterdir()) == []


def test_several_annotators_kinds_and_unknown_ones(ledger: Path, tmp_path: Path) -> None:
    def annotators(name: str, *asked: str) -> set[str]:
        told(ledger, "export", "preferences", tmp_path / name, *asked)
        return {json.loads(line)["annotator"] for line in (tmp_path / name).read_text().splitlines()}

    assert annotators("two.jsonl", "--annotator", "ada", "--annotator", "strict-judge") == {
        "ada",
        "strict-judge",
    }
    people = annotators("people.jsonl", "--annotator", "human")
    assert {"ada"} < people
    assert "strict-judge" not in people
    said = refused(ledger, "export", "preferences", tmp_path / "no.jsonl", "--annotator", "strict-jugde")
    assert "no annotator 'strict-jugde' judged here (did you mean 'strict-judge'?)" in said
    assert not (tmp_path / "no.jsonl").exists()
    none = farm(ledger, "export", "trl", tmp_path / "none.jsonl", "--annotator", "ada", "--source", "nowhere")
    assert none.code == 1
    assert "0 rows" in none.out
