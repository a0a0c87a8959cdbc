"""`farm import`: what it reports, what it refuses, and that it is done wholly or not at all."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from db.interchange import FORMATS
from db.interchange.rows import Placed, ReadOptions
from db.ledger import Ledger
from farm import import_
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
    said = farm(ledger, "import", "preferences", tmp_path / "x.jsonl", "--json")
    report = json.loads(said.out)
    assert (said.code, report["refused"]) == (1, 1)
    assert "in the ledger already with preference" in report["files"][0]["refusals"][0]["reason"]
    assert told(ledger, "audit", "--draws", 0) == before


def test_a_wrong_file_among_right_ones_leaves_the_ledger_as_it_was(sums: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.jsonl.gz"
    torn.write_bytes(gzip.compress(sums.read_bytes())[:-40])
    result = farm(tmp_path / "x.db", "import", "preferences", sums, torn)
    assert result.code == 1
    assert result.error.count("\n") == 1
    assert "torn.jsonl.gz: the compressed file is broken" in result.error
    assert not any(told(tmp_path / "x.db", "status")["counts"].values())


@pytest.mark.parametrize(("room", "readings"), [(import_.HELD, 1), (5_000, 2), (0, 2)])
def test_a_file_is_read_once_where_it_has_room_and_again_where_not(
    sums: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, readings: int
) -> None:
    (tmp_path / "x.jsonl").write_text("\n".join(sums.read_text().splitlines()[:50]))
    read: list[Path] = []

    def reader(path: Path, options: ReadOptions) -> Iterator[Placed]:
        read.append(path)
        return FORMATS["preferences"].reader(path, options)

    followed = replace(FORMATS["preferences"], reader=reader)
    monkeypatch.setattr(import_, "HELD", room)
    monkeypatch.setattr(import_, "format_named", lambda _: followed)
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        report = import_.import_files(ledger, "", [tmp_path / "x.jsonl"], ReadOptions(), lambda *_: None)
        assert ledger.counts()["annotation"] == 50
    assert (report.total("read"), report.total("kept")) == (50, 50)
    assert len(read) == readings


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


def test_all_rows_refused_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"prompt": "Say hi.", "chosen": null, "rejected": "no"}\n')
    assert farm(tmp_path / "x.db", "import", "trl", tmp_path / "x.jsonl").code == 1
    with (tmp_path / "x.jsonl").open("a") as file:
        file.write('{"prompt": "Say hi.", "chosen": "hi", "rejected": "no"}\n')
    assert farm(tmp_path / "x.db", "import", "trl", tmp_path / "x.jsonl").code == 0


def test_a_wrong_instruction_id_is_refused_with_the_right_one(sums: Path, tmp_path: Path) -> None:
    row = json.loads(sums.read_text().splitlines()[0])
    (tmp_path / "x.jsonl").write_text(json.dumps(row | {"instruction_id": "000000000000"}))
    said = farm(tmp_path / "x.db", "import", "preferences", tmp_path / "x.jsonl", "--json")
    [refusal] = json.loads(said.out)["files"][0]["refusals"]
    assert said.code == 1
    assert refusal == {
        "file": str(tmp_path / "x.jsonl"),
        "row": 1,
        "reason": f"instruction_id is '000000000000', not {row['instruction_id']!r}, the hash of this "
        "instruction and input",
    }


def test_refusals_of_a_folder_name_file_and_row_and_none_is_left_out(tmp_path: Path) -> None:
    row = {
        "instruction": "Say hi.", "output_1": "hi", "generator_1": "a", "output_2": "no", "generator_2": "b",
        "annotator": "judge", "preference": 1,
    }  # fmt: skip
    for name, preference in (("one", 1), ("two", 2)):
        file = tmp_path / "in" / name / "judge" / "annotations.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps([row | {"preference": preference}, *[row | {"preference": 7}] * 1200]))
    said = json.loads(farm(tmp_path / "x.db", "import", "alpaca-eval", tmp_path / "in", "--json").out)
    refusals = said["files"][0]["refusals"]
    assert len(refusals) == said["refused"] == 2401
    places = [(Path(each["file"]).parts[-3], each["row"]) for each in refusals]
    assert sorted(places)[:2] == [("one", 2), ("one", 3)]
    [conflict] = [each for each in refusals if "in the ledger already" in each["reason"]]
    assert (Path(conflict["file"]).parts[-3], conflict["row"]) == ("two", 1)


def test_new_rows_count_as_new_whatever_comes_along(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(
        '{"instruction": "a", "output": "b"}\n{"instruction": "c", "output": "d"}\n'
    )
    counts = told(tmp_path / "x.db", "import", "instructions", tmp_path / "x.jsonl")
    assert (counts["kept"], counts["known"]) == (4, 0)
    again = told(tmp_path / "x.db", "import", "instructions", tmp_path / "x.jsonl")
    assert (again["kept"], again["known"]) == (0, 4)


def test_names_are_not_cut_at_a_dot(tmp_path: Path) -> None:
    row = {"instruction": "Say hi.", "input": "", "output_1": "hi", "output_2": "no"}
    for name, code in (("gpt-3.5-turbo", 1), ("gpt-3", 2)):
        (tmp_path / f"{name}.json").write_text(json.dumps([row | {"preference": code}]))
        told(tmp_path / "x.db", "import", "alpaca-farm", tmp_path / f"{name}.json", "--kind", "llm")
    frame = told(tmp_path / "x.db", "audit", "--reference", "gpt-3", "--draws", 0)
    assert {each["annotator"] for each in frame["annotators"]} >= {"gpt-3.5-turbo"}
    (tmp_path / "arena-hard-v0.1.jsonl").write_text('{"instruction": "Say no."}')
    told(tmp_path / "x.db", "import", "instructions", tmp_path / "arena-hard-v0.1.jsonl")
    assert [each["name"] for each in told(tmp_path / "x.db", "status")["sets"]] == ["arena-hard-v0.1"]


def test_files_of_one_name_in_two_folders_are_said(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "question.jsonl").write_text(json.dumps({"instruction": f"Say {name}."}))
    both = tmp_path / "a" / "question.jsonl", tmp_path / "b" / "question.jsonl"
    [note] = told(tmp_path / "x.db", "import", "instructions", *both)["notes"]
    assert "2 files are named 'question'" in note
    assert "2 files are named" in farm(tmp_path / "x.db", "import", "instructions", *both).out
    assert told(tmp_path / "x.db", "import", "instructions", *both, "--set", "q")["notes"] == []
