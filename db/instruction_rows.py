"""An instruction, or an output with its instruction, in the rows of a query: its columns, and the record that
they make. Private to db/.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import FromClause, Label

from db.records import Instruction, Output, ProducerKind, turns_from_json
from db.tables import INSTRUCTION, OUTPUT

ASKED = (
    INSTRUCTION.c.text.label("asked_text"),
    INSTRUCTION.c.input.label("asked_input"),
    INSTRUCTION.c.turns.label("asked_turns"),
)
ANSWERED = (
    OUTPUT.c.text,
    OUTPUT.c.producer,
    OUTPUT.c.producer_kind,
    OUTPUT.c.decoding,
    OUTPUT.c.sample,
    OUTPUT.c.turns,
    *ASKED,
)


def sides(a: FromClause, b: FromClause) -> list[Label[Any]]:
    """The columns of a pair's outputs, such as text_a and text_b. a, b: the outputs."""
    return [
        output.c[column].label(f"{column.removeprefix('producer_')}_{side}")
        for side, output in (("a", a), ("b", b))
        for column in ("text", "producer", "producer_kind", "decoding", "sample", "turns")
    ]


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
        turns=turns_from_json(row.turns),
    )
