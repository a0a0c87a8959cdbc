"""The protocol of a producer of outputs, its requests and its answers.

A producer writes its answers as they come, in batches. Each batch is written whole or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from db.records import Instruction

if TYPE_CHECKING:
    from farm.producers.outputs import Outputs


class Wanted(NamedTuple):
    """A request: an instruction with the numbers of the draws that are missing."""

    instruction: Instruction
    draws: tuple[int, ...]


class Answer(NamedTuple):
    """The text of one draw. thinking: what the model thought before it."""

    instruction: Instruction
    draw: int
    text: str
    thinking: str = ""


class Producer(Protocol):
    """A model with its decoding settings, which can draw outputs."""

    decoding: str  # canonical JSON of all that can change an output
    failures: Counter[str]  # how many draws failed, by the name of the failure

    @property
    def cost(self) -> float | None:
        """What was paid, in US dollars. None where nothing was paid for, or a price is unknown."""
        ...

    def draw(self, wanted: Sequence[Wanted], outputs: Outputs) -> int:
        """Draw all that is wanted and write it to `outputs`. A failed draw is counted and not written.

        Returns how many draws were left to another run, which is asking for them.
        """
        ...
