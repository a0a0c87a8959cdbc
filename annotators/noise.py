"""Label noise: people contradict themselves, and a simulated annotator may do so too.

The label stands beside the preference and never in its place. To flip a clear preference with probability p
is the same as to replace it by a fair coin with probability 2p. A judgement whose label is replaced need not
be paid for. Dubois et al. 2023, arXiv 2305.14387, section 3.2, use p = 0.25.
"""

from __future__ import annotations

from dataclasses import dataclass

from annotators.draws import Occasion
from db.ids import Json


@dataclass(frozen=True, slots=True)
class LabelNoise:
    """flip: probability that a label contradicts the preference, in [0, 0.5].

    replace: with probability 2 * flip the label is a fair coin, and the question is not asked. Without it,
    the label is 1 - preference with probability flip. Both orders of one replicate get the same noise.
    """

    flip: float = 0.0
    replace: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 0.5:
            raise ValueError(f"a flip rate lies between 0 and 0.5, not at {self.flip}")

    def coin(self, occasion: Occasion) -> float | None:
        """The label, 0 or 1, that needs no judgement; None where the question has to be asked."""
        if not self.replace:
            return None
        draw = occasion.uniform("label noise")
        return None if draw >= 2 * self.flip else float(draw < self.flip)

    def label(self, preference: float, occasion: Occasion) -> float:
        """The label of a preference that was asked for."""
        if not self.replace and occasion.uniform("label noise") < self.flip:
            return 1.0 - preference
        return preference

    def to_json(self) -> dict[str, Json]:
        """The settings, as they enter the annotator's identity."""
        return {"flip": self.flip, "replace": self.replace}


NO_NOISE = LabelNoise()
