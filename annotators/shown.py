"""A pair in the order in which a judge sees it: the one place where the order is applied.

`judgement.py` undoes it again.
"""

from __future__ import annotations

from dataclasses import dataclass

from db.records import Pair, Turn


@dataclass(frozen=True, slots=True)
class ShownPair:
    """A pair and the order in which to show it. swapped: output_b comes first."""

    pair: Pair
    swapped: bool

    @property
    def instruction(self) -> str:
        """The text of the instruction; of a conversation, its transcript."""
        return self.pair.instruction.text

    @property
    def input(self) -> str:
        """The input of the instruction; empty where it has none."""
        return self.pair.instruction.input

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns of the instruction, where it is a conversation."""
        return self.pair.instruction.turns

    @property
    def outputs(self) -> tuple[str, str]:
        """The texts of the two outputs, in the order in which they are shown."""
        a, b = self.pair.output_a.text, self.pair.output_b.text
        return (b, a) if self.swapped else (a, b)

    @property
    def first(self) -> str:
        """The text of the output that is shown first."""
        return self.outputs[0]

    @property
    def second(self) -> str:
        """The text of the output that is shown second."""
        return self.outputs[1]
