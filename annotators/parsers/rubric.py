"""A parser of rubrics: one score for each criterion and output, and the weighted mean of the scores.

Scores stand in lines ("A helpfulness: 7", "Helpfulness: A 7, B 4"), under headings, in JSON either way round,
or in a table with a column for each output.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from annotators.judgement import Verdict
from annotators.parsers.alphabets import latin
from annotators.parsers.base import ParseError, Readable
from annotators.parsers.grammar import plain
from annotators.spec import OutputNames

_NUMBER = r"(?P<number>\d{1,4}(?:\.\d{1,4})?)(?![\w%]|[.,]\d)"
_NEAR = re.compile(
    r"[\s:=|()\[\]{}'\",-]{0,12}(?:(?:score|rating)[\s:=|('\"]{1,4})?(?:is |of |gets )?\Z", re.IGNORECASE
)
_LISTED = re.compile(r"(?m)^[ #>'-]{0,12}\d{1,2}[.)] ")

Scores = dict[tuple[int, str], float]
"""(0 for the output shown first, 1 for the second; criterion) -> score."""


@dataclass(frozen=True)
class RubricParser:
    """The output with the higher weighted mean of its scores. Equal means are a tie.

    weights: criterion -> weight, above 0. Each score must be there and in [low, high]; the last one counts.
    The verdict's reason says every score that was used.
    """

    names: OutputNames
    weights: tuple[tuple[str, float], ...]
    low: float = 1.0
    high: float = 10.0

    def __call__(self, reply: Readable) -> list[Verdict]:
        scores = self._scores(_LISTED.sub("", latin(plain(reply.text))))
        for criterion, _ in self.weights:
            for side, name in enumerate(self.names):
                value = scores.get((side, criterion))
                if value is None:
                    raise ParseError(f"no score for {criterion} of {name}")
                if not self.low <= value <= self.high:
                    raise ParseError(
                        f"{criterion} of {name}: {value:g} is not in {self.low:g} to {self.high:g}"
                    )
        first, second = (self._mean(scores, side) for side in (0, 1))
        used = ", ".join(f"{name} {scores[0, name]:g} to {scores[1, name]:g}" for name, _ in self.weights)
        preferred = 0.5 if abs(first - second) < 1e-9 else float(first > second)
        return [Verdict(preferred, f"{used}; weighted mean {first:.4g} to {second:.4g}")]

    def _mean(self, scores: Scores, side: int) -> float:
        total = sum(weight for _, weight in self.weights)
        return sum(weight * scores[side, name] for name, weight in self.weights) / total

    def _scores(self, text: str) -> Scores:
        """The last score of each output and criterion. A number counts right after what it scores."""
        scores: Scores = {}
        output: int | None = None
        criterion: str | None = None
        columns: tuple[int, ...] = ()  # the outputs of a table's columns, in their order
        for line in text.split("\n"):
            named = [side for token in self._token.finditer(line) if (side := self._side(token)) is not None]
            if (
                set(named) == {0, 1}
                and len(named) == 2
                and line.count("|") > 1
                and not re.search(r"\d", line)
            ):
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
                        scores[output, criterion] = float(token["number"])
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
        values = [float(each["number"]) for each in found if each["number"]]
        is_row = line.count("|") > 1 and len(names) == 1 and len(values) == 2
        return (self._criterion(names[0]), values) if is_row else None

    def _side(self, token: re.Match[str]) -> int | None:
        """The output that a token names; None where it names none."""
        return 0 if token["first"] or token["a"] else 1 if token["second"] or token["b"] else None

    def _criterion(self, text: str) -> str:
        return next(name for name, _ in self.weights if _folded(name) == _folded(text))

    @cached_property
    def _token(self) -> re.Pattern[str]:
        """A criterion, an output's name, or a number. A bare name is one only as it is written."""
        names = sorted((name for name, _ in self.weights), key=len, reverse=True)
        criteria = "|".join(re.escape(name).replace("_", " ").replace(r"\ ", "[ _-]") for name in names)
        noun = r"(?i:output|response|answer|option|assistant|model)s? ?[('\"]{0,2}"
        first, second = map(re.escape, self.names)
        follows = rf"(?=['\")\]]{{0,3}} {{0,2}}(?:[:=|,\d({{-]|$|(?i:{criteria})))"
        return re.compile(
            rf"(?P<criterion>\b(?i:{criteria})\b)"
            rf"|\b{noun}(?:(?P<first>(?i:{first}))|(?P<second>(?i:{second})))\b"
            rf"|(?<![\w-])(?:(?P<a>{first})|(?P<b>{second})){follows}|(?<![\w.]){_NUMBER}"
        )


def _folded(text: str) -> str:
    return re.sub(r"[ _-]+", " ", text.casefold())
