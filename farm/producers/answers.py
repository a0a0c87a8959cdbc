"""What is wanted of a producer of outputs, and what it answers.

A producer says by `decoding` all that can change an output of its own. It hands its answers over as they
come, in batches that are written whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from db.records import Instruction


class Wanted(NamedTuple):
    """An instruction with the numbers of the draws that it lacks."""

    instruction: Instruction
    draws: tuple[int, ...]


class Answer(NamedTuple):
    """The text of one draw."""

    instruction: Instruction
    draw: int
    text: str


Write = Callable[[list[Answer]], None]


class Producer(Protocol):
    """A model with its settings."""

    decoding: str  # canonical JSON of all that can change an output
    failures: Counter[str]  # names of what came in place of a text

    @property
    def cost(self) -> float | None:
        """US dollars; None: nothing was paid for, or a price is unknown."""
        ...

    def draw(self, wanted: Sequence[Wanted], write: Write) -> None:
        """Every draw that is wanted; one that failed is counted and not written."""
        ...
