"""An instruction, or an output with its instruction, in the rows of a query: its columns, and the record that
they make. Private to db/.
"""

from __future__ import annotations

from typing import Any

from db.records import Instruction, Output, ProducerKind, turns_from_json
from db.tables import InstructionRow, OutputRow

ASKED = (
    InstructionRow.text.label("asked_text"),
    InstructionRow.input.label("asked_input"),
    InstructionRow.turns.label("asked_turns"),
)
ANSWERED = (
    OutputRow.text,
    OutputRow.producer,
    OutputRow.producer_kind,
    OutputRow.decoding,
    OutputRow.sample,
    *ASKED,
)


def instruction_of(row: Any) -> Instruction:
    """The instruction of a row that has the columns ASKED."""
    return Instruction(row.asked_text, row.asked_input, turns_from_json(row.asked_turns))


def output_of(row: Any) -> Output:
    """The output of a row that has the columns ANSWERED."""
    return Output(
        instruction=instruction_of(row),
        text=row.text,
        producer=row.producer,
        producer_kind=ProducerKind(row.producer_kind),
        decoding=row.decoding,
        sample=row.sample,
    )
