"""LLaMA-Factory's alpaca files: preferences and KTO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from db.interchange.rows import RatedOutput
from db.records import AnnotatorKind
from tests.support.shapes import judged, shaped


def test_preferences(tmp_path: Path) -> None:
    row: dict[str, Any] = {"instruction": "Add.", "input": "1 1", "chosen": "2", "rejected": "3"}
    rows = [row, row | {"system": "Be exact.", "history": [["Hi", "Hello"]], "id": 7}]
    plain, led = judged(tmp_path / "x.jsonl", "llama-factory", rows)
    assert (plain.instruction, plain.input, plain.output_1, plain.output_2) == ("Add.", "1 1", "2", "3")
    assert (plain.preference, plain.meta) == (1.0, {})
    assert led.instruction == "System: Be exact.\n\nUser: Hi\n\nAssistant: Hello\n\nUser: Add.\n\n1 1"
    assert (led.input, led.turns[-1][:2]) == ("", ("user", "Add.\n\n1 1"))
    assert led.meta == {"id": 7}


def test_kto(tmp_path: Path) -> None:
    rows = [{"instruction": "Add.", "input": "1 1", "output": "3", "kto_tag": False}]
    assert shaped(tmp_path / "x.jsonl", "llama-factory", rows) == [
        RatedOutput("x", "Add.", "1 1", "3", "x", AnnotatorKind.HUMAN, 0.0)
    ]
