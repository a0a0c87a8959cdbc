"""TRL's rows as other tools write them: prompts repeated, under other names, whole conversations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from db.interchange.rows import PreferenceRow, ReadOptions
from db.interchange.trl import read


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
