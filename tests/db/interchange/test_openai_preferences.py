"""OpenAI's preference fine-tuning rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from db.interchange.rows import Refusal
from tests.support.shapes import judged, shaped


def message(text: str, role: str = "assistant") -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


def test_preferences_and_tools(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "input": {"messages": message("Say hi.", "user"), "tools": [], "parallel_tool_calls": True},
            "preferred_output": message("hi"),
            "non_preferred_output": message("no"),
        }
    ]
    [row] = judged(tmp_path / "x.jsonl", "openai", rows)
    assert (row.instruction, row.output_1, row.output_2, row.preference) == ("Say hi.", "hi", "no", 1.0)
    assert row.meta == {"tools": [], "parallel_tool_calls": True}


def test_an_input_of_bare_messages_is_read(tmp_path: Path) -> None:
    row = {
        "input": message("x", "user"),
        "preferred_output": message("a"),
        "non_preferred_output": message("b"),
    }
    [found] = judged(tmp_path / "x.jsonl", "openai", [row])
    assert (found.instruction, found.output_1, found.preference) == ("x", "a", 1.0)


def test_an_input_without_messages_is_refused(tmp_path: Path) -> None:
    row = {"input": "Say hi.", "preferred_output": message("hi"), "non_preferred_output": message("no")}
    assert shaped(tmp_path / "x.jsonl", "openai", [row]) == [
        Refusal(1, "input is 'Say hi.', without messages")
    ]
