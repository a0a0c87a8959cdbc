"""Rankings of several outputs: "C > A > B", "C > A = B", a list from best to worst; or the best alone.

A ranking names every output that was shown, each once. It gives a verdict on each pair of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

from annotators.judgement import Verdict
from annotators.parsers.alphabets import latin
from annotators.parsers.base import ParseError, Readable
from annotators.parsers.grammar import plain

NOT_BEST = "neither is the best, and no more was asked"
_NOUN = r"(?:(?:the )?(?:output|response|answer|option|assistant|model|candidate)s? ?)?[('\"\[]{0,2}"
_MARKED = re.compile(
    r"\b(?:final )?(?:ranking|ranked|rank|order|preference)s?['\"]? {0,3}(?:is|:|=) {0,3}\[?\Z", re.IGNORECASE
)
_BEST = (
    r"(?:\b(?:(?:the )?(?:best|winner|winning|preferred)(?: (?:output|response|answer|one|choice))?"
    r"|verdict|answer|choice)['\"]? {0,3}(?:is|:|=) {0,3}|\[\[ ?)"
)
_EQUAL = "=~\u2248"


class Ranked(NamedTuple):
    """A name in a ranking. tied: it is as good as the name before it."""

    name: str
    tied: bool = False


@dataclass(frozen=True)
class RankingParser:
    """The last ranking of all outputs; one after a mark such as "Ranking:" goes before others.

    names: of the outputs as shown. best: a reply that names the best output alone will do. Then pairs without
    it stay open.
    """

    names: tuple[str, ...]
    best: bool = False

    def __call__(self, reply: Readable) -> list[Verdict]:
        text = latin(plain(reply.text))
        ranks = self._ranking(text)
        if ranks is None and self.best:
            return self._of_best(self._named_best(text))
        if ranks is None:
            raise ParseError(f"no ranking of {', '.join(self.names)} is declared")
        return [Verdict(0.5 if ranks[i] == ranks[j] else float(ranks[i] < ranks[j])) for i, j in self._pairs]

    @property
    def _pairs(self) -> Iterator[tuple[int, int]]:
        """All pairs of places, in the order of ShownOutputs.of."""
        return combinations(range(len(self.names)), 2)

    def _of_best(self, best: int) -> list[Verdict]:
        return [
            Verdict(float(i == best)) if best in (i, j) else Verdict(None, NOT_BEST, is_open=True)
            for i, j in self._pairs
        ]

    def _ranking(self, text: str) -> Sequence[int] | None:
        """The rank of each output, in the order shown; None where no ranking is declared."""
        found: list[tuple[bool, int, Sequence[int]]] = []
        for match in self._chain.finditer(text):
            before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
            marked = _MARKED.search(before) is not None
            if "," in match[0] and not (marked or self._is_list(text, match)):
                continue
            if ranks := self._ranks(self._items(match[0])):
                found.append((marked, match.start(), ranks))
        if found:
            return max(found)[2]
        return self._ranks(Ranked(name) for name in self._numbered(text))

    def _is_list(self, text: str, match: re.Match[str]) -> bool:
        """Whether names with commas stand in brackets, or alone on their line; else they are prose."""
        before, after = text[: match.start()].rstrip(" '\""), text[match.end() :].lstrip(" '\".")
        return before.endswith("[") or match[0].startswith("[") or (before[-1:] in "\n" and after[:1] in "\n")

    def _items(self, chain: str) -> Iterator[Ranked]:
        """Each name of a chain, with whether a sign of equality stands before it."""
        tied = False
        for token in self._token.finditer(chain):
            if token["name"]:
                yield Ranked(token["name"], tied)
                tied = False
            else:
                tied = token["sign"] in _EQUAL

    def _ranks(self, items: Iterable[Ranked]) -> Sequence[int] | None:
        """The rank of each output, in the order shown; None unless each is named once."""
        places: dict[int, int] = {}
        rank = 0
        for name, tied in items:
            place = self._place(name)
            if place in places:
                return None
            rank += not tied
            places[place] = rank
        return [places[i] for i in range(len(self.names))] if len(places) == len(self.names) else None

    def _numbered(self, text: str) -> list[str]:
        """The names of the last list that is numbered from 1, a line each."""
        found: list[str] = []
        for match in self._line.finditer(text):
            if int(match["number"]) == 1:
                found = []
            if int(match["number"]) == len(found) + 1:
                found.append(match["name"])
        return found

    def _named_best(self, text: str) -> int:
        """The place of the output that is called the best, or whose name is all of the reply."""
        called = [match["name"] for match in self._called_best.finditer(text)]
        alone = self._alone.fullmatch(text.strip())
        if not called and not alone:
            raise ParseError(f"none of {', '.join(self.names)} is called the best")
        return self._place(called[-1] if called else alone["name"] if alone else "")

    def _place(self, name: str) -> int:
        return [each.casefold() for each in self.names].index(name.casefold())

    @cached_property
    def _name(self) -> str:
        return "|".join(map(re.escape, sorted(self.names, key=len, reverse=True)))

    @cached_property
    def _chain(self) -> re.Pattern[str]:
        """As many names as outputs, with signs or commas between them."""
        item = rf"{_NOUN}(?:{self._name})(?!\w)[)'\"\]]{{0,2}}"
        sign = r"\s{0,3}(?:>{1,3}=?|[=~\u2248,])\s{0,3}"
        return re.compile(rf"(?<![\w>]){item}(?:{sign}{item}){{{len(self.names) - 1}}}", re.IGNORECASE)

    @cached_property
    def _token(self) -> re.Pattern[str]:
        return re.compile(rf"(?<!\w)(?P<name>{self._name})(?!\w)|(?P<sign>[>=~\u2248,])", re.IGNORECASE)

    @cached_property
    def _line(self) -> re.Pattern[str]:
        head = r"^[ #>'-]{0,12}\(?(?P<number>\d{1,2})[.):] {0,3}"
        return re.compile(rf"{head}{_NOUN}(?P<name>{self._name})(?!\w)", re.IGNORECASE | re.MULTILINE)

    @cached_property
    def _called_best(self) -> re.Pattern[str]:
        return re.compile(rf"{_BEST}{_NOUN}(?P<name>{self._name})(?![\w-]| and\b| or\b)", re.IGNORECASE)

    @cached_property
    def _alone(self) -> re.Pattern[str]:
        return re.compile(rf"{_NOUN}(?P<name>{self._name})[)'\"\]]{{0,2}}\.?", re.IGNORECASE)
