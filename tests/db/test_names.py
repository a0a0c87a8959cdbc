"""Names that look alike are told, by each page that lists annotators; names beyond measure are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from db.names import LONGEST_NAME, alike, outline
from tests.support.command_line import farm, told

SAME = [
    ("josé", "jose\u0301"),
    ("ada", "\u0430da"),
    ("ada", " ada "),
    ("ada", "ADA"),
    ("ada", "a\u200bda"),
    ("PETER", "\u03a1\u0415\u03a4\u0395R"),
    ("a b", "a\u00a0  b"),
    ("gpt", "\uff47pt"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_names_that_look_alike_have_one_outline(one: str, other: str) -> None:
    assert one != other
    assert outline(one) == outline(other)
    [line] = alike([one, other, "bob", one])
    assert line.isascii()
    assert line.endswith(" look alike and are different annotators")
    assert ascii(one) in line


def test_names_that_differ_are_not_told() -> None:
    assert alike(["ada", "ida", "m0", "mO", "a-b", "a_b", "иван", "ivan"]) == ()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    names = ["ada", "\u0430da", "x" * (LONGEST_NAME + 1)]
    rows = [
        {"instruction": f"Say {n}", "input": "", "output_1": "b", "output_2": "c"}
        | {"annotator": name, "preference": 1}
        for name in names
        for n in range(3)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made = told(tmp_path / "farm.db", "import", "alpaca-farm", tmp_path / "rows.jsonl", "--source", "s")
    assert (made["kept"], made["refused"]) == (6, 3)
    assert "201 characters, and 200 at most" in made["files"][0]["refusals"][0]["reason"]
    assert made["notes"] == ["'ada', '\\u0430da' look alike and are different annotators"]
    return tmp_path / "farm.db"


@pytest.mark.parametrize("command", ["status", "doctor", "audit"])
def test_each_list_of_annotators_points_them_out(ledger: Path, command: str) -> None:
    said = farm(ledger, command)
    assert "'\\u0430da' look alike and are different annotators" in " ".join(said.out.split()), said
