"""Rows of one conversation: OpenAI's messages, ShareGPT, ms-swift, with and without verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from db.interchange.rows import ImportedInstruction, ImportedOutput, RatedOutput, Refusal
from db.records import AnnotatorKind, ProducerKind
from tests.support.shapes import judged, shaped


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def from_value(*texts: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]


def test_sharegpt_preferences_have_a_chosen_and_a_rejected_turn(tmp_path: Path) -> None:
    chosen, rejected = {"from": "gpt", "value": "hi"}, {"from": "gpt", "value": "no"}
    rows: list[dict[str, Any]] = [
        {"conversations": from_value("Say hi."), "chosen": chosen, "rejected": rejected},
        {"conversations": from_value("1", "2", "3"), "chosen": chosen, "rejected": rejected, "tools": "[]"},
        {"conversations": from_value("x"), "system": "Be kind.", "chosen": "hi", "rejected": "no"},
    ]
    one, three, kind = judged(tmp_path / "lf.jsonl", "sharegpt", rows)
    assert (one.instruction, one.output_1, one.output_2, one.preference) == ("Say hi.", "hi", "no", 1.0)
    assert three.instruction == "User: 1\n\nAssistant: 2\n\nUser: 3"
    assert three.meta == {"tools": "[]"}
    assert kind.instruction == "System: Be kind.\n\nUser: x"


def test_kto_rows_are_ratings(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"conversations": from_value("Say hi.", "hi"), "kto_tag": True},
        {"conversations": from_value("Say hi.", "no"), "kto_tag": False},
    ]
    assert shaped(tmp_path / "kto.jsonl", "sharegpt", rows) == [
        RatedOutput("kto", "Say hi.", "", "hi", "kto", AnnotatorKind.HUMAN, 1.0),
        RatedOutput("kto", "Say hi.", "", "no", "kto", AnnotatorKind.HUMAN, 0.0),
    ]
    rows = [{"messages": said("Say hi.", "hi"), "label": True}]
    assert shaped(tmp_path / "swift.jsonl", "messages", rows) == [
        RatedOutput("swift", "Say hi.", "", "hi", "swift", AnnotatorKind.HUMAN, 1.0)
    ]


def test_a_conversation_alone_is_an_instruction_with_its_reference_answer(tmp_path: Path) -> None:
    rows = [{"messages": said("Say hi.", "hi")}, {"messages": said("Say no.")}]
    assert shaped(tmp_path / "sft.v1.jsonl", "messages", rows) == [
        ImportedInstruction("Say hi.", "", "sft.v1"),
        ImportedOutput("Say hi.", "", "hi", "reference", ProducerKind.REFERENCE, "sft.v1"),
        ImportedInstruction("Say no.", "", "sft.v1"),
    ]


def test_swift_rows_reject_one_response_or_several(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"messages": said("Say hi.", "hi"), "rejected_response": "no"},
        {"messages": said("Say hi.", "hi"), "rejected_response": ["no", "never"]},
        {"messages": said("Say hi.", "hi"), "rejected_messages": said("Say hi.", "no")},
    ]
    found = judged(tmp_path / "x.jsonl", "ms-swift", rows)
    assert [(row.instruction, row.output_1, row.output_2) for row in found] == [
        ("Say hi.", "hi", each) for each in ("no", "no", "never", "no")
    ]


def test_a_bad_row_among_good_ones_is_said_by_its_number(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"messages": said("a", "b")},
        {"messages": []},
        {"messages": said("c", "d")},
        {"messages": said("<image>?", "d"), "images": ["x.png"]},
    ]
    found = shaped(tmp_path / "x.jsonl", "messages", rows)
    assert [row for row in found if isinstance(row, Refusal)] == [
        Refusal(2, "messages has no message"),
        Refusal(4, "the row has images, and only texts can be judged"),
    ]
    assert len(found) == 6
