"""`farm status`: what the ledger holds, and what of it stands on both sides of an evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.evaluation.contamination import shingles
from tests.support.command_line import farm, refused, told


def test_the_counts_are_those_of_the_file(sums: Path, sums_ledger: Path) -> None:
    rows = [json.loads(line) for line in sums.read_text().splitlines()]
    found = told(sums_ledger, "status")
    assert found["ledger"] == str(sums_ledger)
    assert found["counts"]["annotation"] == len(rows)
    assert found["counts"]["instruction"] == len({row["instruction"] for row in rows})
    assert found["counts"]["annotator"] == sum(found["annotators"].values())
    assert found["counts"]["annotator"] == len({row["annotator"] for row in rows})
    items = {
        subset: {row["item_id"] for row in rows if row["subset"] == subset} for subset in ("even", "odd")
    }
    assert found["sources"] == [
        {"source": "sums", "subset": subset, "items": len(ids)} for subset, ids in items.items()
    ]


def test_a_person_sees_the_same_counts(sums_ledger: Path) -> None:
    shown = farm(sums_ledger, "status").out
    assert str(sums_ledger) in shown.replace("\n", "")
    for name, count in told(sums_ledger, "status")["counts"].items():
        assert f"{count:,}" in next(line for line in shown.splitlines() if f" {name}s " in f" {line} ")


def test_contamination(tmp_path: Path, sums: Path) -> None:
    ledger = tmp_path / "x.db"
    told(ledger, "import", "preferences", sums)
    asked = ["What is 3 plus 7?", "what is 3 PLUS 7", "Please, what is 4 plus 20, my dear?", "Name a colour."]
    (tmp_path / "test.txt").write_text("\n".join(asked))
    told(ledger, "import", "instructions", tmp_path / "test.txt", "--use", "eval")
    found = told(ledger, "status", "--contamination", "--threshold", 0.3)
    assert (found["n_exact"], found["n_near"]) == (2, 1)
    # "what is 4 plus 20" has 3 shingles of 3 words; the question around it 6: 3 / 6
    assert min(each["similarity"] for each in found["overlaps"]) == pytest.approx(3 / 6)
    assert found["overlaps"][0]["training_set"] == "sums"


@given(st.text(), st.text(" \t.,!", min_size=1, max_size=3))
def test_case_spaces_and_punctuation_make_no_other_shingles(text: str, between: str) -> None:
    words = ["one", "two", "three", "four"]
    assert shingles(between.join(words).upper()) == shingles(" ".join(words))
    assert len(shingles(" ".join(words))) == 2
    assert shingles(text)  # nothing is without any


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--contamination"], "--eval: no instructions to compare"),
        (["--contamination", "--threshold", "2"], "--threshold is 2.0"),
        (["--contamination", "--eval", "nowhere"], "there is no set or source 'nowhere' (one of "),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_line(
    sums_ledger: Path, arguments: list[str], message: str
) -> None:
    assert message in refused(sums_ledger, "status", *arguments)
