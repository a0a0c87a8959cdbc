"""TRL's rows as other tools write them: prompts repeated, under other names, whole conversations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.interchange.rows import MadeHere, PreferenceRow, ReadOptions, Refusal
from db.interchange.trl import read, write
from db.records import AnnotationStatus, AnnotatorKind


def one(path: Path, rows: Sequence[Mapping[str, Any]]) -> PreferenceRow:
    path.write_text("\n".join(map(json.dumps, rows)))
    [(_, _, row)] = read(path, ReadOptions())
    assert isinstance(row, PreferenceRow), row
    return row


def test_trl_answers_that_repeat_the_prompt_lose_it_and_scores_models_and_subset_stay(tmp_path: Path) -> None:
    def said(text: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": "Say hi."}, {"role": "assistant", "content": text}]

    given: dict[str, Any] = {"prompt": "Say hi.", "chosen": said("hi"), "rejected": said("no")}
    given |= {"score_chosen": 8.5, "score_rejected": 6, "chosen_model": "m1", "rejected_model": "m2"}
    row = one(tmp_path / "x.jsonl", [given | {"subset": "refusals", "id": 3}])
    assert (row.instruction, row.output_1, row.output_2, row.preference) == ("Say hi.", "hi", "no", 1.0)
    assert (row.output_1_model, row.output_2_model, row.subset) == ("m1", "m2", "refusals")
    assert (row.scores, row.meta) == ((8.5, 6), {"id": 3})


def test_trl_reads_whole_conversations_by_another_name(tmp_path: Path) -> None:
    asked = {"role": "user", "content": "Say hi."}
    given = {
        f"{side}_messages": [asked, {"role": "assistant", "content": text}]
        for side, text in (("chosen", "hi"), ("rejected", "no"))
    }
    row = one(tmp_path / "x.jsonl", [given])
    assert (row.instruction, row.output_1, row.output_2, row.meta) == ("Say hi.", "hi", "no", {})


@pytest.mark.parametrize("name", ["instruction", "question"])
def test_trl_reads_the_prompt_by_its_usual_names(tmp_path: Path, name: str) -> None:
    row = one(tmp_path / "x.jsonl", [{name: "Say hi.", "chosen": "hi", "rejected": "no"}])
    assert (row.instruction, row.output_1, row.meta) == ("Say hi.", "hi", {})


SAID = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
NAME = st.text("abc ", min_size=1, max_size=5).filter(str.strip)
JUDGED = st.builds(
    PreferenceRow,
    source=NAME, instruction=SAID.filter(str.strip), input=SAID, output_1=SAID, output_2=SAID, annotator=NAME,
    annotator_kind=st.sampled_from(AnnotatorKind),
    preference=st.floats(0, 1).filter(lambda p: p != 0.5),
    subset=st.none() | NAME, item_id=NAME, instruction_id=st.none() | NAME,
    output_1_model=st.none() | NAME, output_2_model=st.none() | NAME,
    preference_raw=st.none() | SAID | st.floats(-9, 9), order_swapped=st.none() | st.booleans(),
    raw_completion=st.none() | SAID,
    scores=st.none() | st.tuples(st.floats(-9, 9), st.none() | st.floats(-9, 9)),
    meta=st.dictionaries(st.text("xyz", min_size=1), SAID | st.integers(-9, 9), max_size=3),
    replicate=st.integers(0, 9), price=st.none() | st.floats(0, 9), seconds=st.none() | st.floats(0, 9),
    made=st.none() | st.builds(MadeHere, NAME, st.just(AnnotationStatus.OK), st.floats(0, 1)),
)  # fmt: skip


@given(rows=st.lists(JUDGED, min_size=1, max_size=3), ending=st.sampled_from([".jsonl", ".parquet"]))
@settings(deadline=None, max_examples=30)
def test_our_own_rows_come_back_whole(
    tmp_path_factory: pytest.TempPathFactory, rows: list[PreferenceRow], ending: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"ours{ending}"
    assert write(rows, path) == len(rows)
    assert [each.entry for each in read(path, ReadOptions())] == rows


def test_source_and_orientation_can_be_seen(tmp_path: Path) -> None:
    row = PreferenceRow("s", "Say hi.", "", "no", "hi", "ada", AnnotatorKind.HUMAN, 0.0, order_swapped=True)
    write([row], tmp_path / "x.jsonl")
    told = json.loads((tmp_path / "x.jsonl").read_text())
    assert {name: told[name] for name in ("chosen", "source", "chosen_first")} == {
        "chosen": "hi",
        "source": "s",
        "chosen_first": True,  # output_2 was shown first, and it is the chosen one
    }


def test_a_source_of_other_people_is_no_source_of_ours(tmp_path: Path) -> None:
    theirs: dict[str, Any] = {"source": "evol", "item_id": "3"}
    theirs |= {"prompt": "Say hi.", "chosen": "hi", "rejected": "no"}
    row = one(tmp_path / "x.jsonl", [theirs])
    assert (row.source, row.item_id, row.meta) == ("trl", None, {"source": "evol", "item_id": "3"})
    for told in ("", "{}", '{"preference": 0.5}', '{"preference": 1, "colour": 1}', 3):
        (tmp_path / "y.jsonl").write_text(json.dumps(theirs | {"farm": told}))
        [(_, _, refused)] = read(tmp_path / "y.jsonl", ReadOptions())
        assert isinstance(refused, Refusal)
        assert "not what `farm export` writes" in refused.reason
