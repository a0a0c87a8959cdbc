"""Keyed draws: which order is shown, which member judges, which label is flipped.

A draw is a hash of its purpose, the pair, the annotator and the replicate. Nothing else changes it: neither
the order of the rows, nor the other pairs of a batch, nor the process, nor Python's hash(). The seed of a
study is part of the annotator's draw key.
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

    draw_key: identity of what the annotator asks (AnnotatorSpec.draw_key). Annotators that differ only in
    parser or label noise have the same draw key. So they show the same order, ask the same member and share
    completions.
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
        """The orders in which to ask this pair, as values of `swapped`.

        flipped: the first output of the source is output_b.
        """
        match orders:
            case Orders.RANDOM:
                return (self.swapped(),)
            case Orders.BOTH:
                return (False, True)
            case Orders.STORED:
                return (flipped,)


@dataclass(frozen=True, slots=True)
class RankedOccasion(Occasion):
    """The same where more than two outputs are shown together, so that all their pairs have one order.

    outputs: the keys of output_a and output_b. Each output draws its place, whatever it is shown beside. So
    the order of each pair is a fair coin too.
    """

    outputs: tuple[str, str] = ("", "")

    def swapped(self) -> bool:
        """Whether output_b is shown before output_a."""
        a, b = (
            keyed_uniform("shown place", output, self.draw_key, self.replicate) for output in self.outputs
        )
        return b < a
