"""An instruction in the rows of a query: its columns, and the record that they make. Private to db/."""

from __future__ import annotations

from typing import Any

from db.records import Instruction, turns_from_json
from db.tables import InstructionRow

ASKED = (
    InstructionRow.text.label("asked_text"),
    InstructionRow.input.label("asked_input"),
    InstructionRow.turns.label("asked_turns"),
)


def instruction_of(row: Any) -> Instruction:
    """The instruction of a row that has the columns ASKED."""
    return Instruction(row.asked_text, row.asked_input, turns_from_json(row.asked_turns))
