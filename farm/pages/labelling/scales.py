"""The verdicts that the page offers: which output is better, or also how much better.

A scale of five points has two steps on either side of the tie, one of seven points has three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from db.records import Degree

SIDES = 3  # points of the scale that says only which is better
HOW = {2: ("slightly", "clearly"), 3: ("slightly", "", "much")}  # by steps from the tie, from one


@dataclass(frozen=True)
class Button:
    """One button.

    key: what is pressed. first: P(the output shown first is preferred). degree: how much better. words: the
    button's text; more: what a narrow screen leaves out of it.
    """

    key: str
    first: float
    words: str
    more: str = ""
    degree: Degree | None = None

    @property
    def note(self) -> str:
        """What the page says when the verdict is saved."""
        return f"Saved: {self.words.lower() if self.first != 0.5 else 'a tie'}"


def scale_of(points: int) -> Mapping[str, Button]:
    """The choices by key, as they stand on the page from left to right. points: 3, 5 or 7."""
    if points == SIDES:
        sides = (("1", 1.0, "Output 1"), ("2", 0.0, "Output 2"))
        one, two = (Button(key, first, words, "is better") for key, first, words in sides)
        found = [one, Button("0", 0.5, "Tie"), two]
        return MappingProxyType({each.key: each for each in found})
    levels = points // 2
    made = []
    for place in range(points):
        steps = abs(place - levels)
        first = 0.5 if steps == 0 else float(place < levels)
        made.append(
            Button(str(place + 1), first, *_words(first, steps, levels), degree=Degree(steps, levels))
        )
    return MappingProxyType({each.key: each for each in made})


def _words(first: float, steps: int, levels: int) -> tuple[str, str]:
    if steps == 0:
        return "Tie", ""
    how = HOW[levels][steps - 1]
    side = "1" if first == 1.0 else "2"
    return (f"{side} {how}".strip(), "better") if how else (f"Output {side}", "better")
