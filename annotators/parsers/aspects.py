"""A verdict for each criterion: "helpfulness: A", "honesty: tie", in lines, in a table or in JSON.

The overall verdict is derived from them by weights, as that of a rubric is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from annotators.judgement import Verdict
from annotators.parsers.base import ParseError, Readable
from annotators.parsers.grammar import NamePatterns, plain
from annotators.parsers.rubric import BothScores, WeighedCriteria, folded, name_pattern
from annotators.parsers.text import VerdictParser
from annotators.spec import OutputNames

_AROUND = " \n'\",;|{}"
_TIES = frozenset({"tie", "tied", "a tie", "draw", "a draw", "equal", "same", "both", "neither"})


@dataclass(frozen=True)
class AspectsParser:
    """One verdict for each criterion: the name of an output, or a tie. The last readable one counts."""

    names: OutputNames
    criteria: WeighedCriteria

    def __call__(self, reply: Readable) -> list[Verdict]:
        text = plain(reply.text)
        heads = list(self._head.finditer(text))
        ends = [head.start() for head in heads[1:]] + [len(text)]
        found: dict[str, float] = {}
        for head, end in zip(heads, ends, strict=False):
            said = self._said(text[head.end() : end].strip(_AROUND))
            if said is not None:
                found[folded(head["criterion"])] = said
        votes = []
        for name in self.criteria.names:
            if folded(name) not in found:
                raise ParseError(f"no verdict on {name}")
            votes.append(found[folded(name)])
        return [self.criteria.verdict([BothScores(vote, 1 - vote) for vote in votes], scored=False)]

    def _said(self, part: str) -> float | None:
        if part.strip(" .()[]").casefold() in _TIES:
            return 0.5
        try:
            return self._verdict.read(part).first
        except ParseError:
            return None

    @cached_property
    def _verdict(self) -> VerdictParser:
        return VerdictParser(NamePatterns.of(*self.names), start=True)

    @cached_property
    def _head(self) -> re.Pattern[str]:
        """A criterion at the beginning of a line or an entry, and the mark after it."""
        return re.compile(
            rf"(?:\A|[\n{{,;|])[ #>'\"(-]{{0,12}}(?:\d{{1,2}}[.)] )?['\"(]{{0,3}}"
            rf"(?P<criterion>{name_pattern(self.criteria.names)})['\")]{{0,3}} {{0,3}}[:=|-]{{1,2}}",
            re.IGNORECASE,
        )
