"""A parser of verdicts that say how much better: "[[A>>B]]", "A is slightly better", "[[A=B]]".

The steps from the tie are counted on a scale with so many levels on either side: two on a five-point scale
(slightly, clearly), three on a seven-point scale (slightly, better, much). A reply that says only which is
better has a verdict and no strength.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from annotators.judgement import Verdict
from annotators.parsers.base import ParseError, Readable
from annotators.parsers.grammar import NamePatterns, plain
from annotators.parsers.text import VerdictParser
from annotators.spec import OutputNames
from db.records import Degree

_SLIGHTLY = "slightly|marginally|somewhat|a little|a bit|a tad|barely|narrowly|just"
_MUCH = "much|far|significantly|substantially|considerably|vastly|strongly|greatly|decisively|a lot|way"
_PLAINLY = "clearly|moderately|definitely|noticeably|rather"
_NOUN = r"(?:(?:the )?(?:output|response|answer|option|assistant|model) ?)?[('\"\[]{0,2}"
_EQUAL = r"about the same|equally good|equally well|roughly equal|of equal quality|tied?\b|a draw"
_DENIED = re.compile(
    r"\b(?:not|never|if|whether|neither|hardly)\b[^.!?\n]{0,30}\Z|n't\b[^.!?\n]{0,30}\Z", re.IGNORECASE
)


class _Found(NamedTuple):
    """A declared verdict.

    first: P(first). steps: from the tie, None where it does not say how much. firm: it is in signs. place: in
    the text.
    """

    first: float
    steps: int | None
    firm: int
    place: int


@dataclass(frozen=True)
class ScaleParser:
    """The last verdict in signs and brackets, else in signs, else in words.

    levels: steps on either side of the tie. chances: P(preferred) by steps from the tie; empty where every
    step is certain. `farm annotators calibrate` fits them to people.
    """

    names: OutputNames
    levels: int = 2
    chances: tuple[float, ...] = ()

    def __call__(self, reply: Readable) -> list[Verdict]:
        text = plain(reply.text)
        found = max((*self._signs(text), *self._words(text)), key=_firmest, default=None)
        if found is None:
            return VerdictParser(NamePatterns.of(*self.names))(reply)
        if found.steps is None:
            return [Verdict(found.first)]
        if found.steps > self.levels:
            raise ParseError(f"{found.steps} steps on a scale with {self.levels}")
        return [Verdict(self._chance(found.first, found.steps), degree=Degree(found.steps, self.levels))]

    def _chance(self, first: float, steps: int) -> float:
        """P(first) of a verdict of so many steps."""
        if not self.chances or not steps:
            return first
        return self.chances[steps - 1] if first > 0.5 else 1 - self.chances[steps - 1]

    def _signs(self, text: str) -> Iterator[_Found]:
        """Verdicts such as A>>B, A=B or B<A."""
        for each in self._sign.finditer(text):
            one, sign, other = each["one"], each["sign"], each["other"]
            if one.casefold() == other.casefold():
                continue
            firm = 2 if text[: each.start("one")].rstrip().endswith("[[") else 1
            if sign[0] not in "<>":
                yield _Found(0.5, 0, firm, each.start())
                continue
            is_first = one.casefold() == self.names.first.casefold()
            yield _Found(float(is_first == (sign[0] == ">")), len(sign), firm, each.start())

    def _words(self, text: str) -> Iterator[_Found]:
        """Verdicts such as `A is much better`, `slightly prefer B` or `about the same`."""
        for each in self._phrase.finditer(text):
            if _DENIED.search(text, max(0, each.start() - 60), each.start()):
                continue
            if each["equal"]:
                yield _Found(0.5, 0, 0, each.start())
                continue
            name = each["name"] or each["chosen"]
            first = float(name.casefold() == self.names.first.casefold())
            yield _Found(first, self._steps(each["how"] or each["how_chosen"]), 0, each.start())

    def _steps(self, how: str | None) -> int | None:
        """Steps that an adverb stands for; without one, what the bare word means on this scale."""
        if how is None:
            return 2 if self.levels > 1 else 1
        if re.fullmatch(_SLIGHTLY, how, re.IGNORECASE):
            return 1
        return self.levels if re.fullmatch(_MUCH, how, re.IGNORECASE) else min(2, self.levels)

    @cached_property
    def _sign(self) -> re.Pattern[str]:
        name = "|".join(map(re.escape, self.names))
        return re.compile(
            rf"(?<![\w>]){_NOUN}(?P<one>{name})\)?\s{{0,2}}(?P<sign>>{{1,9}}|<{{1,9}}|={{1,2}}|≈|~)"
            rf"\s{{0,2}}{_NOUN}(?P<other>{name})(?!\w)",
            re.IGNORECASE,
        )

    @cached_property
    def _phrase(self) -> re.Pattern[str]:
        name = "|".join(map(re.escape, self.names))
        how = f"{_SLIGHTLY}|{_MUCH}|{_PLAINLY}"
        return re.compile(
            rf"(?<![\w-]){_NOUN}(?P<name>{name})[)'\"\]]{{0,2}} is (?:(?P<how>{how}) )?"
            r"(?:better|preferable|superior)\b"
            rf"|(?:(?P<how_chosen>{how}) )?\bprefer {_NOUN}(?P<chosen>{name})(?!\w)"
            rf"|\b(?P<equal>{_EQUAL})",
            re.IGNORECASE,
        )


def _firmest(found: _Found) -> tuple[int, int]:
    return found.firm, found.place
