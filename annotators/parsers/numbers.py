"""Parsers of numbers: log-probabilities of the first token, ratings, scores of a reward model."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from annotators.judgement import Verdict
from annotators.parsers.alphabets import latin
from annotators.parsers.base import ParseError, Readable
from annotators.parsers.grammar import plain
from annotators.spec import OutputNames

_AROUND = re.compile(r"^[\W_]+|[\W_]+$")


@dataclass(frozen=True)
class LogprobParser:
    """P(first) / (P(first) + P(second)) by the log-probabilities of the first token.

    Variants such as " A", "a" and "(A" add up. Case counts only where the names differ in nothing else (m and
    M). least: the probability that both names must have together. Below it the judge was about to say
    something else. A reply without log-probabilities has no verdict; its text is not read.
    """

    names: OutputNames
    least: float = 0.1

    def __call__(self, reply: Readable) -> list[Verdict]:
        if not reply.top_logprobs:
            raise ParseError("no log-probabilities came")
        first, second = (self._mass(reply, self._folded(name)) for name in self.names)
        if not first + second >= self.least or first + second == 0:
            raise ParseError(f"the names have only {first + second:.2g} of the first token's probability")
        return [Verdict(first / (first + second))]

    def _mass(self, reply: Readable, name: str) -> float:
        """The probability of all tokens that say this name."""
        return sum(
            math.exp(min(each.logprob, 0.0))
            for each in reply.top_logprobs[0]
            if not math.isnan(each.logprob) and self._folded(_AROUND.sub("", plain(each.token))) == name
        )

    def _folded(self, name: str) -> str:
        return name if self.names.first.casefold() == self.names.second.casefold() else name.casefold()


@dataclass(frozen=True)
class ScoresParser:
    """Two scores, as {"scores": [1.5, -0.5]}, by the model of Bradley and Terry: P(first) = σ(s_1 - s_2).

    hard: the output with the higher score is preferred outright. Equal scores are a tie in both ways.
    """

    hard: bool = False

    def __call__(self, reply: Readable) -> list[Verdict]:
        try:
            data: object = json.loads(reply.text)
        except (ValueError, RecursionError):
            raise ParseError("the reply is not JSON") from None
        scores = data.get("scores") if isinstance(data, dict) else None
        if not (isinstance(scores, list) and len(scores) == 2 and all(map(_is_finite, scores))):
            raise ParseError("the reply does not hold two finite scores")
        difference = float(scores[0]) - float(scores[1])
        if self.hard:
            return [Verdict(0.5 if difference == 0 else float(difference > 0))]
        return [Verdict((1 + math.tanh(difference / 2)) / 2)]  # the logistic function


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


@dataclass(frozen=True)
class RatingParser:
    """A number for each output: lines such as "A: 7" or "Output B - 4/10", both on one line, JSON, a table.

    A line of two numbers will do as well, and a word from zero to ten after a name.

    The last number of each output counts; equal numbers are a tie.
    """

    names: OutputNames
    low: float = 1.0
    high: float = 10.0

    def __call__(self, reply: Readable) -> list[Verdict]:
        text = latin(plain(reply.text))
        ratings = [self._last(_rated(name.casefold()), text) for name in self.names]
        if None in ratings and (columns := rated_in_table(text, self.names)):
            ratings = list(columns)
        if None in ratings and (both := _TWO_NUMBERS.search(text)):
            ratings = [float(both[1]), float(both[2])]
        first, second = ratings
        if first is None or second is None:
            raise ParseError("the reply does not rate both outputs")
        if not (self.low <= first <= self.high and self.low <= second <= self.high):
            raise ParseError(f"{first:g} and {second:g} are not both between {self.low:g} and {self.high:g}")
        return [Verdict(0.5 if first == second else float(first > second))]

    def _last(self, pattern: re.Pattern[str], text: str) -> float | None:
        value = None
        for found in pattern.finditer(text):
            value = float(_NUMBERS.index(found[1].casefold())) if found[1].isalpha() else float(found[1])
        return value


_NUMERAL = r"(\d{1,4}(?:\.\d{1,4})?)(?![\w%]|[.,]\d)"
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_WORD = rf"(?:{'|'.join(_NUMBERS)})"
_VALUE = (  # a numeral, or a number's word that nothing goes on with: "one of the best" is none
    rf"(\d{{1,4}}(?:\.\d{{1,4}})?(?![\w%]|[.,]\d)"
    rf"|{_WORD}(?= {{0,3}}(?:\Z|[\n.;)\]}}/'\"]|out of|,(?! {{0,3}}(?:\d|{_WORD}\b)))))"
)
_TWO_NUMBERS = re.compile(rf"(?:^|\n) {{0,8}}{_NUMERAL}[ ,;/]{{1,8}}{_NUMERAL} {{0,8}}(?=\n|\Z)")


@lru_cache(maxsize=64)
def _rated(name: str) -> re.Pattern[str]:
    """The name of an output that is given a number: at a line's beginning, or after another rating."""
    noun = r"(?:(?:output|response|answer|option|assistant|model|rating|score)s?\b(?: (?:of|for))? ?){0,3}"
    return re.compile(
        rf"(?:(?:^|\n)[ #>'\"(\[{{|-]{{0,12}}|[,;|]\s{{0,3}}['\"]?|\band |(?<=\d) {{1,3}}){noun}"
        rf"[(\['\"]{{0,3}}{re.escape(name)}[)\]'\"]{{0,3}} {{0,3}}(?:(?:score|rating)['\"]? {{0,3}})?"
        rf"(?:(?:[:=|-]|is|gets|scores){{1,2}}|(?=[(\[]))"
        rf" {{0,3}}(?:\{{ ?['\"](?:score|rating|overall)['\"] ?: ?)?[ '\"(\[]{{0,4}}{_VALUE}",
        re.IGNORECASE,
    )


def rated_in_table(text: str, names: Sequence[str]) -> tuple[float, float] | None:
    """The numbers of a table with a column for each output: its one row, or the row of the whole."""
    columns: tuple[int, int] | None = None
    found: list[tuple[str, float, float]] = []
    for line in text.split("\n"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.count("|") > 1 else []
        called = [_NOUNS.sub("", cell.casefold()).strip(" ()") for cell in cells]
        if all(called.count(name.casefold()) == 1 for name in names):
            columns = (called.index(names[0].casefold()), called.index(names[1].casefold()))
        elif columns and max(columns) < len(cells):
            values = [_CELL.fullmatch(cells[at]) for at in columns]
            if values[0] and values[1]:
                found.append((cells[0].casefold(), float(values[0][1]), float(values[1][1])))
    whole = [row for row in found if _WHOLE.search(row[0])] or found
    return whole[-1][1:] if len(whole) == 1 else None


_NOUNS = re.compile(r"\b(?:output|response|answer|option|assistant|model|rating|score)s?\b(?: (?:of|for))?")
_CELL = re.compile(r"(\d{1,4}(?:\.\d{1,4})?)(?: ?/ ?\d{1,4})?")
_WHOLE = re.compile(r"overall|total|whole|sum|average|mean|final")
