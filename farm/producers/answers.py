"""What a producer of outputs is asked for, and what it answers."""

from __future__ import annotations

from typing import NamedTuple

from db.records import Instruction


class Wanted(NamedTuple):
    """A request: an instruction with the numbers of the draws that are missing."""

    instruction: Instruction
    draws: tuple[int, ...]


class WantedDraw(NamedTuple):
    """One output that is asked for: the number of a draw for an instruction."""

    instruction: Instruction
    number: int


class Answer(NamedTuple):
    """The text of one draw. thinking: what the model thought before it."""

    instruction: Instruction
    draw: int
    text: str
    thinking: str = ""
