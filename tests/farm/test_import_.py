"""`farm import`: what it reports, what it refuses, and that it is done wholly or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.command_line import farm, refused, told


@pytest.fixture(scope="module")
def ledger(sums_ledger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of the 1,200 judgements, for this file to write to."""
    return Path(shutil.copy(sums_ledger, tmp_path_factory.mktemp("ledger")))


def test_import_reports_and_is_idempotent(sums: Path, tmp_path: Path) -> None:
    first = told(tmp_path / "x.db", "import", "preferences", sums)
    again = told(tmp_path / "x.db", "import", "preferences", sums, sums)
    assert (first["read"], first["kept"], first["known"], first["refused"]) == (1200, 1200, 0, 0)
    assert (again["read"], again["kept"], again["known"]) == (2400, 0, 2400)


def test_a_contradicting_row_is_refused_and_the_ledger_stays(
    sums: Path, ledger: Path, tmp_path: Path
) -> None:
    row = json.loads(sums.read_text().splitlines()[0])
    (tmp_path / "x.jsonl").write_text(json.dumps(row | {"preference": 3 - row["preference"]}))
    before = told(ledger, "audit", "--draws", 0)
    report = told(ledger, "import", "preferences", tmp_path / "x.jsonl")
    assert report["refused"] == 1
    assert "in the ledger already with preference" in report["files"][0]["refusals"][0]["reason"]
    assert told(ledger, "audit", "--draws", 0) == before


def test_a_wrong_file_among_right_ones_leaves_the_ledger_as_it_was(sums: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.jsonl"
    torn.write_text(sums.read_text()[:-40])
    result = farm(tmp_path / "x.db", "import", "preferences", sums, torn)
    assert result.code == 1
    assert result.error.count("\n") == 1
    assert "torn.jsonl:1200: this is not JSON" in result.error
    assert not any(told(tmp_path / "x.db", "status")["counts"].values())


def test_folders_are_read_whole_and_named_sources_and_sets_are_kept(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    rows = [{"prompt": f"Say {i}.", "chosen": f"{i}", "rejected": "no"} for i in range(5)]
    (tmp_path / "in" / "a.jsonl").write_text("\n".join(map(json.dumps, rows[:2])))
    (tmp_path / "in" / "deep" / "b.jsonl").write_text("\n".join(map(json.dumps, rows[1:])))
    given = ("--source", "mine", "--annotator", "ada", "--kind", "human")
    report = told(tmp_path / "x.db", "import", "trl", tmp_path / "in", *given)
    assert [(Path(each["path"]).name, each["kept"], each["known"]) for each in report["files"]] == [
        ("a.jsonl", 2, 0),
        ("b.jsonl", 3, 1),
    ]
    found = told(tmp_path / "x.db", "status")
    assert found["sources"] == [{"source": "mine", "subset": None, "items": 5}]
    assert found["annotators"] == {"human": 1}


def test_instructions_make_a_named_set(tmp_path: Path) -> None:
    (tmp_path / "asked.txt").write_text("Say hi.\nSay no.\nSay hi.\n")
    told(
        tmp_path / "x.db", "import", "instructions", tmp_path / "asked.txt", "--set", "said", "--use", "eval"
    )
    assert told(tmp_path / "x.db", "status")["sets"] == [{"name": "said", "use": "eval", "instructions": 2}]


def test_a_person_sees_counts_and_the_first_refusals(sums: Path, ledger: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in sums.read_text().splitlines()[:12]]
    turned = [row | {"preference": 3 - row["preference"]} for row in rows]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, turned)))
    shown = farm(ledger, "import", "preferences", tmp_path / "x.jsonl").out
    assert "".join(shown.split()).count("intheledgeralreadywithpreference") == 10
    assert "... and 2 more" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsuch", "x"], "there is no format 'nonsuch' (one of "),
        (["trl", "none.jsonl"], "none.jsonl: there is no such file"),
        (["trl", "x", "--kind", "dog"], "--kind is 'dog'"),
        (["trl", "x", "--use", "fun"], "--use is 'fun'"),
    ],
)
def test_what_cannot_be_imported_is_said_in_a_line(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    assert message in refused(tmp_path / "x.db", "import", *arguments)
