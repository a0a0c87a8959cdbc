"""`farm import` without a format or a mapping: it shows what it guesses, and takes it only when told to."""

from __future__ import annotations

import io
import json
import shlex
import sys
from pathlib import Path

import pytest

from tests.support.command_line import farm, told

CSV = """prompt,response_a,response_b,label,annotator,category
Name a river.,The Rhine.,A lake.,a,ann,rivers
Name a river.,The Rhine.,A lake.,b,bob,rivers
Name a sea.,A lake.,The Baltic.,b,ann,seas
Name a sea.,A lake.,The Baltic.,tie,bob,seas
"""
CODED = CSV.replace(",a,ann", ",0,ann").replace(",b,", ",1,").replace(",tie,", ",2,")


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def judgements(ledger: Path, tmp_path: Path) -> set[tuple[object, ...]]:
    out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}.jsonl"
    assert farm(ledger, "export", "preferences", out).code == 0
    rows = map(json.loads, out.read_text().splitlines())
    return {
        tuple(row[name] for name in ("instruction", "output_1", "annotator", "preference")) for row in rows
    }


EXPECTED = {
    ("Name a river.", "The Rhine.", "ann", 1),
    ("Name a river.", "The Rhine.", "bob", 2),
    ("Name a sea.", "A lake.", "ann", 2),
    ("Name a sea.", "A lake.", "bob", 0),
}


@pytest.mark.parametrize("form", ["table", "auto", None])
def test_a_guess_is_shown_and_taken_with_yes(tmp_path: Path, form: str | None) -> None:
    path = written(tmp_path / "mine.csv", CSV)
    said = farm(tmp_path / "x.db", "import", *([form] if form else []), path, "--yes")
    assert said.code == 0
    assert "response_a" in said.error
    assert "'Name a river.': first 'The Rhine.', second 'A lake.': bob prefers the second" in said.error
    assert judgements(tmp_path / "x.db", tmp_path) == EXPECTED
    found = told(tmp_path / "x.db", "status")
    assert {(each["source"], each["subset"]) for each in found["sources"]} == {
        ("mine", "rivers"),
        ("mine", "seas"),
    }


def test_without_a_word_nothing_is_read_and_the_command_is_said(tmp_path: Path) -> None:
    path = written(tmp_path / "my data.csv", CSV)
    said = farm(tmp_path / "x.db", "import", "table", path)
    assert said.code == 1
    assert not (tmp_path / "x.db").exists()
    command = said.error.splitlines()[-1].split("(run ")[1].removesuffix(", or add --yes)")
    assert farm(tmp_path / "x.db", *shlex.split(command)[1:]).code == 0
    assert judgements(tmp_path / "x.db", tmp_path) == EXPECTED


def test_a_verdict_that_may_mean_either_side_is_never_guessed(tmp_path: Path) -> None:
    path = written(tmp_path / "coded.csv", CODED)
    said = farm(tmp_path / "x.db", "import", path, "--yes")
    assert said.code == 1
    assert "the values of the column 'label' may mean either side" in said.error
    assert "--verdict label:0=WHICH,1=WHICH,2=WHICH" in said.error
    assert not (tmp_path / "x.db").exists()
    codes = ("--verdict", "label:0=first,1=second,2=tie")
    assert farm(tmp_path / "x.db", "import", path, *codes, "--yes").code == 0
    assert judgements(tmp_path / "x.db", tmp_path) == EXPECTED
    turned = ("--verdict", "label:1=first,0=second,2=tie")
    assert farm(tmp_path / "y.db", "import", "table", path, *turned, "--yes").code == 0
    assert ("Name a river.", "The Rhine.", "ann", 2) in judgements(tmp_path / "y.db", tmp_path)


def test_a_mapping_is_saved_and_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "mine.csv", CSV)
    assert farm(tmp_path / "x.db", "import", "table", path, "--yes", "--save-map", "mine").code == 0
    again = told(tmp_path / "x.db", "import", "table", path, "--saved-map", "mine")
    assert (again["kept"], again["known"], again["refused"]) == (0, 4, 0)


def test_standard_input_is_a_table_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        dict(zip(CSV.split("\n")[0].split(","), line.split(","), strict=True))
        for line in CSV.split("\n")[1:-1]
    ]
    forms = (CSV, CSV.replace(",", "\t"), json.dumps(rows), "\n".join(map(json.dumps, rows)))
    for place, text in enumerate(forms):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert farm(tmp_path / f"{place}.db", "import", "table", "-", "--yes").code == 0
        assert judgements(tmp_path / f"{place}.db", tmp_path) == EXPECTED


def test_a_folder_is_read_by_one_mapping(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    written(tmp_path / "in" / "README.txt", "What these tables are.")
    lines = CSV.splitlines()
    written(tmp_path / "in" / "a.csv", "\n".join(lines[:3]))
    written(tmp_path / "in" / "b.csv", "\n".join([lines[0], *lines[3:]]))
    assert farm(tmp_path / "x.db", "import", tmp_path / "in", "--yes").code == 0
    assert judgements(tmp_path / "x.db", tmp_path) == EXPECTED


def test_pairs_without_verdicts_are_judged_by_an_annotator(tmp_path: Path) -> None:
    path = written(tmp_path / "open.csv", "prompt,response_a,response_b\nName a sea.,A lake.,The Baltic.\n")
    report = told(tmp_path / "x.db", "import", "table", path, "--yes")
    assert (report["kept"], report["known"]) == (1, 0)
    assert told(tmp_path / "x.db", "import", path, "--yes")["known"] == 1
    assert farm(tmp_path / "x.db", "annotate", "longest", "--source", "open").code == 0
    assert judgements(tmp_path / "x.db", tmp_path) == {("Name a sea.", "A lake.", "longest", 2)}


def test_one_bad_row_among_good_ones_is_said_and_the_rest_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.csv", CSV.replace(",b,bob", ",perhaps,bob"))
    codes = ("--verdict", "label:a=first,b=second,tie=tie", "--yes")
    report = told(tmp_path / "x.db", "import", "table", path, *codes)
    assert (report["kept"], report["refused"]) == (3, 1)
    [refusal] = report["files"][0]["refusals"]
    assert (refusal["row"], refusal["reason"]) == (3, "the verdict is 'perhaps', not a, b, tie")


def test_a_known_format_needs_no_mapping_and_a_table_with_an_instruction_is_not_cut(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", '{"prompt": "Say hi.", "chosen": "hi", "rejected": "no"}')
    said = farm(tmp_path / "x.db", "import", path)
    assert said.code == 0
    assert "looks like the format trl" in said.error
    path = written(tmp_path / "mine.csv", CSV.replace("prompt", "instruction"))
    assert farm(tmp_path / "y.db", "import", path, "--yes").code == 0
    assert judgements(tmp_path / "y.db", tmp_path) == EXPECTED


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("nothing",), "there is neither a format nor a file 'nothing'"),
        (("trl",), "farm import trl names no file"),
        (("trl", "x.jsonl", "--map", "prompt=x"), "--map and --verdict are of the format table, not of trl"),
        (("table", "x.jsonl", "--map", "prompt=x", "--saved-map", "y"), "exclude each other"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    said = farm(tmp_path / "x.db", "import", *arguments)
    assert said.code == 1
    assert reason in said.error
    assert said.error.count("\n") == 1
