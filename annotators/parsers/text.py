"""Parsers of running text: one verdict, or one for each pair of a prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from annotators.judgement import Verdict
from annotators.parsers.alphabets import is_foreign, latin, told
from annotators.parsers.base import ParseError, Readable, Slots
from annotators.parsers.grammar import Declaration, Firmness, NamePatterns, declarations, plain


@dataclass(frozen=True)
class VerdictParser:
    """One verdict, declared in words (see grammar.py).

    start: the prompt asked for the verdict first. Then a label at the beginning decides, and without one the
    first of the firmest declarations. Without `start` the last of the firmest declarations decides, and a
    label at the beginning counts only where nothing else is declared. A lone letter that is drawn as a Latin
    one is read as that one; in a text of its own alphabet, a verdict that hangs on it is refused.
    """

    labels: NamePatterns
    start: bool = False

    def __call__(self, reply: Readable) -> list[Verdict]:
        return [self.read(plain(reply.text))]

    def read(self, text: str) -> Verdict:
        """The verdict of a plain text. Raises ParseError where none is declared."""
        if not text.strip():
            raise ParseError("the reply is empty")
        found = self._declared(text)
        if (alike := latin(text)) != text:
            other = self._declared(alike)
            if is_foreign(alike) and other != found:
                raise ParseError(f"no verdict is clear: {told(text)}")
            found = other
        if found is None:
            raise ParseError("no verdict is declared")
        return Verdict(found)

    def _declared(self, text: str) -> float | None:
        """P(first) that decides; None where nothing is declared."""
        found = self._decisive(declarations(text, self.labels))
        return None if found is None else found.first

    def _decisive(self, found: Iterable[Declaration]) -> Declaration | None:
        if self.start:
            return max(found, key=lambda each: (each.strength, -each.place), default=None)
        return max(found, key=_when_last, default=None)


def _when_last(each: Declaration) -> tuple[int, int]:
    return (0 if each.strength is Firmness.LEADING else each.strength, each.place)


_PAIR = re.compile(
    r"(?:^|\n)[ #>'-]{0,20}(?:pair|item|question|comparison) {0,3}#? {0,3}(\d{1,3})\b[ .:)\]-]{0,6}", re.I
)
_NUMBER = re.compile(r"(?:^|\n)[ #>'-]{0,20}[(\[#]?(\d{1,3}) {0,2}[.:)\]-] {0,3}")


@dataclass(frozen=True)
class ListParser:
    """One verdict for each of several pairs: lines such as "Pair 2: B > A" or "2. B", in any order.

    Where a pair is named twice, the last one counts. A pair that is not named, or whose line declares
    nothing, is unreadable and does not change the others.
    """

    verdict: VerdictParser
    batch: int

    def __call__(self, reply: Readable) -> list[Verdict]:
        text = plain(reply.text)
        slots = Slots(self.batch)
        parts = self._parts(text)
        for number, part in parts:
            try:
                slots.put(number, self.verdict.read(part))
            except ParseError as error:
                slots.put(number, Verdict(None, str(error)))
        return slots.close()

    def _parts(self, text: str) -> list[tuple[int, str]]:
        """The numbered parts of a reply; without numbers the lines, where they are as many as the pairs."""
        for pattern in (_PAIR, _NUMBER):
            heads = [head for head in pattern.finditer(text) if 1 <= int(head[1]) <= self.batch]
            if heads:
                ends = [head.start() for head in heads[1:]] + [len(text)]
                return [(int(head[1]), text[head.end() : end]) for head, end in zip(heads, ends, strict=True)]
        lines = [line for line in text.split("\n") if line.strip()]
        if self.batch > 1 and len(lines) != self.batch:
            raise ParseError(f"{len(lines)} lines for {self.batch} pairs, and no numbers")
        return list(enumerate(lines, 1)) if self.batch > 1 else [(1, text)]
