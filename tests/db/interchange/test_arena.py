"""Battles of two models: the right side wins, the models keep their names, texts or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from db.interchange.rows import Refusal
from db.records import AnnotatorKind
from tests.support.shapes import judged, shaped


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def battle(**more: Any) -> dict[str, Any]:
    shared: dict[str, Any] = {
        "question_id": "q",
        "model_a": "m1",
        "model_b": "m2",
        "winner": "model_a",
        "judge": "ada",
    }
    shared |= {"conversation_a": said("Say hi.", "hi"), "conversation_b": said("Say hi.", "no"), "turn": 1}
    return shared | more


@pytest.mark.parametrize(
    ("winner", "expected"),
    [("model_a", 1.0), ("model_b", 0.0), ("tie", 0.5), ("tie (bothbad)", 0.5), ("both_bad", 0.5)],
)
def test_the_winner_is_on_the_right_side(tmp_path: Path, winner: str, expected: float) -> None:
    [row] = judged(tmp_path / "x.jsonl", "arena", [battle(winner=winner)])
    assert (row.instruction, row.output_1, row.output_2) == ("Say hi.", "hi", "no")
    assert (row.output_1_model, row.output_2_model) == ("m1", "m2")
    assert (row.preference, row.annotator, row.annotator_kind) == (expected, "ada", AnnotatorKind.HUMAN)
    assert (row.instruction_id, row.preference_raw, row.meta) == ("q", winner, {"turn": 1})


def test_a_model_named_like_the_other_side_does_not_turn_the_verdict(tmp_path: Path) -> None:
    [row] = judged(tmp_path / "x.jsonl", "arena", [battle(model_a="model_b", model_b="model_a")])
    assert (row.preference, row.output_1_model) == (1.0, "model_b")


def test_the_turns_after_the_judged_one_are_left_out(tmp_path: Path) -> None:
    longer = {"conversation_a": said("1", "a", "2", "b"), "conversation_b": said("1", "c", "2", "d")}
    first, both = judged(tmp_path / "x.jsonl", "arena", [battle(**longer), battle(**longer, turn=2)])
    assert (first.instruction, first.output_1, first.output_2) == ("1", "a", "c")
    assert both.output_1 == "Assistant: a\n\nUser: 2\n\nAssistant: b"


def test_a_judge_that_is_a_model_is_one(tmp_path: Path) -> None:
    [row] = judged(tmp_path / "x.jsonl", "arena", [battle(judge="gpt4_pair")])
    assert (row.annotator, row.annotator_kind) == ("gpt4_pair", AnnotatorKind.LLM)


def test_an_unknown_winner_is_refused_by_its_row(tmp_path: Path) -> None:
    found = shaped(tmp_path / "x.jsonl", "arena", [battle(), battle(winner="model_c"), battle()])
    [refused] = [row for row in found if isinstance(row, Refusal)]
    assert refused.row == 2
    assert refused.reason.startswith("the verdict is 'model_c', not model_a, model_b, tie")
    assert len(found) == 3


def test_battles_without_texts_keep_models_and_winner_each_by_itself(tmp_path: Path) -> None:
    bare = {"model_a": "m1", "model_b": "m2", "winner": "model_b"}
    first, second = judged(tmp_path / "elo.jsonl", "battles", [bare, bare])
    assert (first.preference, first.output_1_model, first.output_2_model) == (0.0, "m1", "m2")
    assert first.source == "elo"
    assert first.instruction == "(no text: battle 1 of elo)"
    assert first.instruction != second.instruction
