"""Label noise: people contradict themselves, and so may a simulated annotator's label.

The label stands beside the preference, never in its place. Flipping a clear preference with probability p
is the same as replacing it, with probability 2p, by a fair coin; a judgement whose label is replaced need
not be paid for (Dubois et al. 2023, arXiv 2305.14387, section 3.2, use p = 0.25).
"""

from __future__ import annotations

from dataclasses import dataclass

from annotators.draws import Occasion
from db.ids import Json


@dataclass(frozen=True, slots=True)
class LabelNoise:
    """Probability that a label contradicts the preference, in [0, 0.5].

    replace: with probability 2 * flip the label is a fair coin, whatever the preference, and the question
    is not asked at all; else with probability flip the label is 1 - preference. The two orders of one
    replicate are noised alike.
    """

    flip: float = 0.0
    replace: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 0.5:
            raise ValueError(f"a flip rate lies between 0 and 0.5, not at {self.flip}")

    def coin(self, occasion: Occasion) -> float | None:
        """The label that stands without any judgement (0 or 1); None where one is needed."""
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
        return {"flip": self.flip, "replace": self.replace}


NO_NOISE = LabelNoise()
