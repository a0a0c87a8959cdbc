"""What a judge sees, in the order in which it sees it: a pair, or several outputs to be ranked.

This is the one place where the order is applied. `judgement.py` undoes it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from db.ids import content_hash
from db.records import Instruction, Output, Pair, Turn


class ShownTogether(Protocol):
    """An instruction with outputs, in the order shown."""

    @property
    def key(self) -> str:
        """The identity of what is shown, in whatever order."""
        ...

    @property
    def instruction(self) -> str:
        """The text of the instruction; of a conversation, its transcript."""
        ...

    @property
    def input(self) -> str:
        """The input of the instruction; empty where it has none."""
        ...

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns of the instruction, where it is a conversation."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """The texts of the outputs, in the order in which they are shown."""
        ...


@dataclass(frozen=True, slots=True)
class ShownPair:
    """A pair and the order in which to show it. swapped: output_b comes first."""

    pair: Pair
    swapped: bool

    @property
    def key(self) -> str:
        """The key of the pair."""
        return self.pair.key

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
    def in_order(self) -> tuple[Output, Output]:
        """The two outputs, in the order in which they are shown."""
        a, b = self.pair.output_a, self.pair.output_b
        return (b, a) if self.swapped else (a, b)

    @property
    def outputs(self) -> tuple[str, str]:
        """The texts of the two outputs, in the order in which they are shown."""
        first, second = self.in_order
        return first.text, second.text

    @property
    def first(self) -> str:
        """The text of the output that is shown first."""
        return self.outputs[0]

    @property
    def second(self) -> str:
        """The text of the output that is shown second."""
        return self.outputs[1]


@dataclass(frozen=True, slots=True)
class ShownOutputs:
    """Two or more outputs to one instruction that are ranked together, in the order shown."""

    ranked: tuple[Output, ...]

    @classmethod
    def of(cls, slots: Sequence[ShownPair]) -> ShownOutputs:
        """The outputs of which these are all pairs: 1 and 2, 1 and 3, ... 2 and 3, ... in the order shown."""
        met = [each.in_order for each in slots]
        first = met[0][0]
        return cls((first, *(behind for ahead, behind in met if ahead.key == first.key)))

    @property
    def key(self) -> str:
        """See ShownTogether."""
        return content_hash("ranked together", sorted(output.key for output in self.ranked))

    @property
    def _asked(self) -> Instruction:
        return self.ranked[0].instruction

    @property
    def instruction(self) -> str:
        """See ShownTogether."""
        return self._asked.text

    @property
    def input(self) -> str:
        """See ShownTogether."""
        return self._asked.input

    @property
    def turns(self) -> tuple[Turn, ...]:
        """See ShownTogether."""
        return self._asked.turns

    @property
    def outputs(self) -> tuple[str, ...]:
        """See ShownTogether."""
        return tuple(output.text for output in self.ranked)
