"""Rows that cannot be read are refused by number; a file of which none can be read is refused whole."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from db.errors import FormatError
from db.interchange import opening
from db.interchange.files import HOPELESS, file_rows, objects, readable_objects
from db.interchange.rows import Refusal
from tests.support.command_line import farm, told

GOOD = {"prompt": "Name a river.", "chosen": "The Rhine.", "rejected": "A lake."}


def refusals(path: Path) -> dict[int, str]:
    return {row.row: row.reason for row in file_rows(path) if isinstance(row, Refusal)}


def test_broken_lines_are_refused_and_the_others_are_read(tmp_path: Path) -> None:
    good = json.dumps(GOOD).encode()
    latin = '{"a": "é"}'.encode("latin-1")
    lines = [b"{torn", good, b"", good[:-9], b'"text"', good, b'{"a": 1, "a": 2}', latin]
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\n".join(lines))
    assert refusals(path) == {
        1: "this is not JSON: Expecting property name enclosed in double quotes",
        4: "this is not JSON: Unterminated string starting at",
        5: "expected a JSON object, found str 'text'",
        7: "this is not JSON: the key 'a' stands twice",
        8: "byte 8 is not UTF-8 (save it as UTF-8 text)",
    }
    assert [number for number, _ in readable_objects(path)] == [2, 6]
    with pytest.raises(FormatError, match=r"x\.jsonl:1: this is not JSON"):
        list(objects(path))


def test_a_value_of_an_array_that_is_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps([GOOD, 7, GOOD]))
    assert refusals(tmp_path / "x.json") == {2: "expected a JSON object, found int '7'"}


@pytest.mark.parametrize("cut", ["", ",", ', {"prompt": "Na', f", {json.dumps(GOOD)} {json.dumps(GOOD)}]"])
def test_the_rows_before_the_tear_of_an_array_are_read(tmp_path: Path, cut: str) -> None:
    whole = f"[{json.dumps(GOOD)}, {json.dumps(GOOD)}"
    (tmp_path / "x.json").write_text(whole + cut)
    *rows, end = file_rows(tmp_path / "x.json")
    assert [row for row in rows if isinstance(row, tuple)] == rows
    assert isinstance(end, Refusal)
    assert (end.row, end.is_end) == (len(rows) + 1, True)
    assert end.reason.startswith("this is not JSON")
    (tmp_path / "x.json").write_text(f"[{json.dumps(GOOD)[:-9]}")
    with pytest.raises(FormatError, match=r"x\.json:1: this is not JSON"):
        list(file_rows(tmp_path / "x.json"))


def test_a_file_whose_beginning_is_all_broken_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("prose\n" * (HOPELESS - 1) + json.dumps(GOOD))
    assert len(refusals(path)) == HOPELESS - 1
    path.write_text("prose\n" * HOPELESS + json.dumps(GOOD))
    with pytest.raises(FormatError, match=r"x\.jsonl:1: this is not JSON: Expecting value"):
        list(file_rows(path))


def test_a_line_over_the_limit_is_refused_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "MAX_LINE", 1 << 20)
    good = json.dumps(GOOD).encode()
    path = tmp_path / "x.jsonl"
    path.write_bytes(good + b"\n" + b"x" * (24 << 20) + b"\n" + good)
    tracemalloc.start()
    try:
        found = list(file_rows(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == [(1, GOOD), Refusal(2, "a line of over 64 MB"), (3, GOOD)]
    assert peak < 8 << 20


def import_report(tmp_path: Path, name: str, text: str) -> dict[str, Any]:
    (tmp_path / name).write_text(text)
    report = told(tmp_path / "a.db", "import", "trl", tmp_path / name)
    assert isinstance(report, dict)
    return report


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.jsonl", f"{json.dumps(GOOD)}\n{{torn\n"),
        ("x.csv", "prompt,chosen,rejected\nName a river.,The Rhine.,A lake.\none,two\n"),
    ],
)
def test_an_import_keeps_the_good_rows_and_names_the_bad_ones(tmp_path: Path, name: str, text: str) -> None:
    report = import_report(tmp_path, name, text)
    assert (report["read"], report["kept"], report["refused"]) == (2, 1, 1)
    [refusal] = report["files"][0]["refusals"]
    assert (refusal["file"], refusal["row"]) == (str(tmp_path / name), text.count("\n"))
    assert farm(tmp_path / "b.db", "import", tmp_path / name, "--yes").code == 0


@pytest.mark.parametrize("name", ["x.json", "x.csv"])
def test_an_import_of_a_file_that_is_not_read_to_its_end_keeps_the_rows_and_fails(
    tmp_path: Path, name: str
) -> None:
    table = [
        "prompt,chosen,rejected",
        "Name a river.,The Rhine.,A lake.",
        "Name a sea.,a,b",
        '"one,two,three',
    ]
    torn = {
        "x.json": f"[{json.dumps(GOOD)}, {json.dumps(GOOD)[:-9]}",
        "x.csv": "\n".join([*table, "four,five,six"]),
    }
    (tmp_path / name).write_text(torn[name])
    done = farm(tmp_path / "a.db", "import", "trl", tmp_path / name, "--json")
    report = json.loads(done.out)
    row, refused = {"x.json": (2, 1), "x.csv": (4, 2)}[name]
    assert (done.code, report["kept"], report["refused"]) == (1, 1, refused)
    assert report["notes"] == [f"{tmp_path / name} was read up to row {row} alone"]


def test_an_import_that_kept_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("prompt,chosen,rejected\none,two\n")
    done = farm(tmp_path / "a.db", "import", "trl", tmp_path / "x.csv")
    assert done.code == 1
    assert "x.csv:2: this row has 2 cells, and the header 3" in done.error


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b" \t\n"])
def test_blank_lines_count_and_are_passed_at_once(blank: bytes, tmp_path: Path) -> None:
    path, row = tmp_path / "x.jsonl", json.dumps(GOOD).encode()
    runs = (0, 3, 99, 100, 101, 5_000, 700_000)  # the last are longer than what is read at a time
    path.write_bytes(b"".join(blank * run + b"  " + row + b"\n" for run in runs) + blank * 200)
    expected = [sum(runs[: i + 1]) + i + 1 for i in range(len(runs))]
    assert [number for number, _ in readable_objects(path)] == expected
