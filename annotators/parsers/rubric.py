"""Rubrics: one score for each criterion and output. A checklist is a rubric whose scores are yes and no.

Scores stand in lines ("A helpfulness: 7", "Helpfulness: A 7, B 4"), under headings, in JSON either way round,
or in a table with a column for each output. The overall verdict is derived from the scores by weights.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from annotators.judgement import Verdict
from annotators.parsers.alphabets import latin
from annotators.parsers.base import ParseError, Readable
from annotators.parsers.grammar import plain
from annotators.spec import OutputNames
from db.records import AspectVerdict

_NUMBER = r"(?P<number>\d{1,4}(?:\.\d{1,4})?)(?![\w%]|[.,]\d)"
_NEAR = re.compile(
    r"[\s:=|()\[\]{}'\",-]{0,12}(?:(?:score|rating)[\s:=|('\"]{1,4})?(?:is |of |gets )?\Z", re.IGNORECASE
)
_WORD = "(?i:yes|no|true|false)"
_ANSWER = rf"(?P<number>{_WORD})(?!\w)"
_ANSWERS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_LISTED = re.compile(r"(?m)^[ #>'-]{0,12}\d{1,2}[.)] ")

Scores = dict[tuple[int, str], float]
"""(0 for the output shown first, 1 for the second; criterion) -> score."""


class BothScores(NamedTuple):
    """The scores of both outputs on one criterion, as shown."""

    first: float
    second: float

    @property
    def preference(self) -> float:
        """1 where the first has the higher score, 0 where the second has, 1/2 where they are equal."""
        return _side(self.first, self.second)


@dataclass(frozen=True)
class WeighedCriteria:
    """Criteria with their weights, which are above 0, and the verdict that follows from their scores.

    The output with the higher weighted mean of its scores is preferred; equal means are a tie. soft: P(first)
    is the weighted mean of the criteria's own verdicts in its place, so that it says how many agree.
    """

    weights: tuple[tuple[str, float], ...]
    soft: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The criteria, in the order in which they were given."""
        return tuple(name for name, _ in self.weights)

    def verdict(self, scores: Sequence[BothScores], scored: bool = True) -> Verdict:
        """The verdict on all criteria, with that on each beside it. scores: of each criterion.

        scored: both outputs were scored; else one was preferred, which is a score of 1 to 0.
        """
        first, second = (self._mean([each[side] for each in scores]) for side in (0, 1))
        votes = [each.preference for each in scores]
        said = ", ".join(f"{name} {a:g} to {b:g}" for name, (a, b) in zip(self.names, scores, strict=True))
        given = scores if scored else [(None, None)] * len(scores)
        aspects = (
            AspectVerdict(name, vote, *both)
            for name, vote, both in zip(self.names, votes, given, strict=True)
        )
        return Verdict(
            self._mean(votes) if self.soft else _side(first, second),
            f"{said}; weighted mean {first:.4g} to {second:.4g}",
            aspects=tuple(aspects),
        )

    def _mean(self, values: Sequence[float]) -> float:
        total = sum(weight for _, weight in self.weights)
        return sum(weight * value for (_, weight), value in zip(self.weights, values, strict=True)) / total


def _side(first: float, second: float) -> float:
    return 0.5 if abs(first - second) < 1e-9 else float(first > second)


@dataclass(frozen=True)
class RubricParser:
    """A score for each criterion and output, each in [low, high]; the last one counts.

    answers: the scores are words, yes (1) and no (0). The verdict's reason says every score that was used.
    """

    names: OutputNames
    criteria: WeighedCriteria
    low: float = 1.0
    high: float = 10.0
    answers: bool = False

    def __call__(self, reply: Readable) -> list[Verdict]:
        scores = self._scores(_LISTED.sub("", latin(plain(reply.text))))
        return [self.criteria.verdict([self._both(scores, name) for name in self.criteria.names])]

    def _both(self, scores: Scores, criterion: str) -> BothScores:
        for side, name in enumerate(self.names):
            value = scores.get((side, criterion))
            if value is None:
                raise ParseError(f"no {'answer' if self.answers else 'score'} for {criterion} of {name}")
            if not self.low <= value <= self.high:
                raise ParseError(f"{criterion} of {name}: {value:g} is not in {self.low:g} to {self.high:g}")
        return BothScores(scores[0, criterion], scores[1, criterion])

    def _value(self, text: str) -> float:
        return _ANSWERS[text.casefold()] if self.answers else float(text)

    def _scores(self, text: str) -> Scores:
        """The last score of each output and criterion. A number counts right after what it scores."""
        scores: Scores = {}
        output: int | None = None
        criterion: str | None = None
        columns: tuple[int, ...] = ()  # the outputs of a table's columns, in their order
        for line in text.split("\n"):
            named = [side for token in self._token.finditer(line) if (side := self._side(token)) is not None]
            valued = any(token["number"] for token in self._token.finditer(line))
            if set(named) == {0, 1} and len(named) == 2 and line.count("|") > 1 and not valued:
                columns = tuple(named)
                continue
            if columns and not named and (row := self._row(line)):
                name, values = row
                scores |= {(side, name): value for side, value in zip(columns, values, strict=True)}
                continue
            fresh, end = False, 0
            for token in self._token.finditer(line):
                if token["number"]:
                    if fresh and output is not None and criterion and _NEAR.match(line[end : token.start()]):
                        scores[output, criterion] = self._value(token["number"])
                    fresh = False
                    continue
                side = self._side(token)
                output = output if side is None else side
                criterion = self._criterion(token["criterion"]) if token["criterion"] else criterion
                fresh, end = True, token.end()
        return scores

    def _row(self, line: str) -> tuple[str, list[float]] | None:
        """A table's row of one criterion with one number for each column."""
        found = list(self._token.finditer(line))
        names = [each["criterion"] for each in found if each["criterion"]]
        values = [self._value(each["number"]) for each in found if each["number"]]
        is_row = line.count("|") > 1 and len(names) == 1 and len(values) == 2
        return (self._criterion(names[0]), values) if is_row else None

    def _side(self, token: re.Match[str]) -> int | None:
        """The output that a token names; None where it names none."""
        return 0 if token["first"] or token["a"] else 1 if token["second"] or token["b"] else None

    def _criterion(self, text: str) -> str:
        return next(name for name in self.criteria.names if folded(name) == folded(text))

    @cached_property
    def _token(self) -> re.Pattern[str]:
        """A criterion, an output's name, or a number. A bare name is one only as it is written."""
        criteria, value = name_pattern(self.criteria.names), _ANSWER if self.answers else _NUMBER
        word = f"|{_WORD}" if self.answers else ""
        noun = r"(?i:output|response|answer|option|assistant|model)s? ?[('\"]{0,2}"
        first, second = map(re.escape, self.names)
        follows = rf"(?=['\")\]]{{0,3}} {{0,2}}(?:[:=|,\d({{-]|$|(?i:{criteria}){word}))"
        return re.compile(
            rf"(?P<criterion>\b(?i:{criteria})\b)"
            rf"|\b{noun}(?:(?P<first>(?i:{first}))|(?P<second>(?i:{second})))\b"
            rf"|(?<![\w-])(?:(?P<a>{first})|(?P<b>{second})){follows}|(?<![\w.]){value}"
        )


def name_pattern(criteria: Sequence[str]) -> str:
    """A pattern of criteria's names, the longest first; blanks, `_` and `-` stand for one another."""
    names = sorted(criteria, key=len, reverse=True)
    return "|".join("[ _-]".join(map(re.escape, re.split("[ _-]+", name))) for name in names)


def folded(name: str) -> str:
    """A criterion's name without case, its words apart by one blank."""
    return re.sub(r"[ _-]+", " ", name.casefold())
