"""Keyed draws: which order is shown, which member judges, which label is flipped.

Each is a function of the thing itself (purpose, pair, annotator, replicate) and of nothing else: not of the
instruction alone, of row order, of batch-mates, of the process or of Python's hash(). The seed of a study is
part of the annotator's draw key.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from db.ids import Json, keyed_uniform


class Orders(StrEnum):
    """Which output of a pair is shown first."""

    RANDOM = "random"  # by keyed draw, for each pair and replicate
    BOTH = "both"  # each pair is asked twice
    STORED = "stored"  # as the source stored it


@dataclass(frozen=True, slots=True)
class Occasion:
    """One judgement that is to be made: all that a draw about it depends on.

    draw_key: what the annotator asks (AnnotatorSpec.draw_key), not how its reply is read: annotators that
    differ in parser or label noise alone show the same order to the same member, and share completions.
    """

    pair_key: str
    draw_key: str
    replicate: int = 0

    def uniform(self, purpose: str, *more: Json) -> float:
        """A number in [0, 1) for this purpose."""
        return keyed_uniform(purpose, self.pair_key, self.draw_key, self.replicate, *more)

    def swapped(self) -> bool:
        """Whether output_b is shown first where the order is random: a fair coin."""
        return self.uniform("shown order") < 0.5

    def shown(self, orders: Orders, flipped: bool = False) -> tuple[bool, ...]:
        """The values of `swapped` to ask this pair with. flipped: the source's first output is output_b."""
        match orders:
            case Orders.RANDOM:
                return (self.swapped(),)
            case Orders.BOTH:
                return (False, True)
            case Orders.STORED:
                return (flipped,)
