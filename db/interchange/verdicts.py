"""Verdicts in the field's words and numbers, as P(output_1 preferred).

Codes say what each value of a verdict column means. Without codes, words that name a side or a tie are read,
and so are the names of the two models and the two texts. A bare number has no meaning without codes: tools
disagree on what 0, 1 and 2 stand for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from db.errors import ConfigError
from db.interchange.degrees import MOST
from db.interchange.fields import is_blank as is_blank
from db.interchange.fields import number_of as number_of
from db.interchange.fields import shown
from db.records import Degree

Codes: TypeAlias = Mapping[str, float | None]  # a value as `plain` gives it -> P(output_1 preferred)

MEANINGS: Mapping[str, float | None] = {"first": 1.0, "second": 0.0, "tie": 0.5, "none": None}
POSITIVE, NEGATIVE, PROBABILITY = "positive", "negative", "probability"
MEANING = re.compile(r"(first|second|tie|none)(?: (\d{1,3})/(\d{1,3}))?")
SCALE = re.compile(r"(-?\d{1,3})\.\.(-?\d{1,3})")
STEM = r"(?:output|response|answer|completion|assistant|model|option|candidate|text|reply|result|choice)"
SIDES = {"first": 1.0, "1st": 1.0, "left": 1.0, "a": 1.0, "second": 0.0, "2nd": 0.0, "right": 0.0, "b": 0.0}
NUMBERED = {"1": 1.0, "one": 1.0, "2": 0.0, "two": 0.0}
WON = r"\]*(?:[ _](?:is better|better|wins?|won))?"
NAMED = re.compile(rf"\[*{STEM}[ _-]*({'|'.join([*SIDES, *NUMBERED])}){WON}")
BARE = re.compile(rf"\[*({'|'.join(SIDES)}){WON}")
TIES = frozenset({
    "tie", "tied", "draw", "equal", "same", "neither", "no preference", "tie (bothbad)", "[[c]]",
    "both", "both good", "both bad", "both_good", "both_bad", "bothgood", "bothbad", "both equally good",
    "both equally bad", "a=b", "b=a", "a~=b", "a≈b",
})  # fmt: skip
ABOVE = {"a>b": 1.0, "a>>b": 1.0, "b<a": 1.0, "b<<a": 1.0, "b>a": 0.0, "b>>a": 0.0, "a<b": 0.0, "a<<b": 0.0}


def plain(value: object) -> str:
    """A value as codes name it: 1, 1.0 and "1" are "1", True is "true", texts are in lower case."""
    number = number_of(value)
    if number is not None:
        return format(number + 0.0, ".15g")
    return " ".join(str(value).split()).lower()


def word(value: object) -> float:
    """P(output_1 preferred) by the words that name a side or a tie. Raises KeyError for another value."""
    said = plain(value)
    if said in TIES:
        return 0.5
    if said in ABOVE:
        return ABOVE[said]
    if match := NAMED.fullmatch(said):
        return (SIDES | NUMBERED)[match[1]]
    if match := BARE.fullmatch(said):
        return SIDES[match[1]]
    raise KeyError(said)


def decoded(
    value: object, codes: Codes, models: tuple[str | None, str | None], texts: tuple[str, str]
) -> float | None:
    """P(output_1 preferred) of a verdict. models, texts: of output_1 and output_2, as a winner may be named.

    Raises ValueError where the value has no meaning, or names both sides.
    """
    said = plain(value)
    if said in codes:
        return codes[said]
    number = number_of(value)
    if number is not None and PROBABILITY in codes and 0 <= number <= 1:
        return number
    if number and (name := POSITIVE if number > 0 else NEGATIVE) in codes:
        return codes[name]
    if not codes:
        readings = _readings(said, models, texts)
        if len(readings) == 1:
            return readings.pop()
        if readings:
            raise ValueError(f"the verdict {shown(value)} names both sides (say what it means: --verdict)")
    known = ", ".join(codes) or "a side, a tie, a model's name or an output"
    raise ValueError(f"the verdict is {shown(value)}, not {known}")


def _readings(said: str, models: tuple[str | None, str | None], texts: tuple[str, str]) -> set[float]:
    """What a verdict may mean: as a word, as the name of one model, as one output."""
    found = set()
    for names in (models, texts):
        is_first, is_second = (each is not None and plain(each) == said for each in names)
        if is_first != is_second:
            found.add(float(is_first))
    with suppress(KeyError):
        found.add(word(said))
    return found


class VerdictColumn(NamedTuple):
    """A column of verdicts, what its values mean, and how much better they say that the output is."""

    column: str
    codes: dict[str, float | None]
    degrees: dict[str, Degree]


def parsed(text: str) -> VerdictColumn:
    """The column and the codes of `COLUMN:VALUE=MEANING,...`; `COLUMN` alone has no codes.

    A meaning is first, second, tie or none; `first 1/2` is one step of two towards the first output. The
    values positive and negative stand for numbers above and below 0. `COLUMN:probability` says that the
    numbers are P(output_1 preferred), and `COLUMN:1..5` that they are a scale, from the first output much
    better to the second much better. Raises ConfigError.
    """
    column, _, told = text.partition(":")
    if told == PROBABILITY:
        return VerdictColumn(column, {PROBABILITY: None}, {})
    if match := SCALE.fullmatch(told):
        return VerdictColumn(column, *_scale(int(match[1]), int(match[2])))
    codes: dict[str, float | None] = {}
    degrees: dict[str, Degree] = {}
    for each in told.split(",") if told else ():
        value, _, meaning = each.rpartition("=")
        match = MEANING.fullmatch(meaning.strip())
        if match is None:
            raise ConfigError(
                f"--verdict has {each!r}, not VALUE=MEANING",
                remedy="a meaning is first, second, tie or none, such as --verdict label:0=first,1=second",
            )
        if plain(value) in codes:
            raise ConfigError(f"--verdict says twice what {value!r} means", remedy="say it once")
        codes[plain(value)] = MEANINGS[match[1]]
        if match[2]:
            degrees[plain(value)] = _degree(each, codes[plain(value)], int(match[2]), int(match[3]))
    return VerdictColumn(column, codes, _with_ties(codes, degrees))


def _degree(given: str, preference: float | None, steps: int, levels: int) -> Degree:
    """Raises ConfigError for steps that are no part of a scale."""
    if preference not in (0.0, 1.0) or not 1 <= steps <= levels <= MOST:
        raise ConfigError(
            f"--verdict has {given!r}", remedy="write first or second, and 1 to N steps of N: first 1/2"
        )
    return Degree(steps, levels)


def _with_ties(codes: Codes, degrees: dict[str, Degree]) -> dict[str, Degree]:
    """A tie is no step, where all other strengths are of one scale."""
    levels = {each.levels for each in degrees.values()}
    if len(levels) != 1:
        return degrees
    return degrees | {value: Degree(0, *levels) for value, meaning in codes.items() if meaning == 0.5}


def _scale(start: int, end: int) -> tuple[dict[str, float | None], dict[str, Degree]]:
    """Codes and strengths of the whole numbers from `start`, the first much better, to `end`.

    An odd number of points has a tie in the middle; an even number has none. Raises ConfigError.
    """
    points = abs(end - start) + 1
    levels = points // 2
    if not 2 <= points <= 2 * MOST + 1:
        raise ConfigError(f"--verdict has the scale {start}..{end}", remedy="write one such as 1..5")
    codes: dict[str, float | None] = {}
    degrees = {}
    for place in range(points):
        lead = levels - place if points % 2 or place < levels else levels - 1 - place
        value = plain(start + place * (1 if end > start else -1))
        codes[value] = 0.5 if lead == 0 else float(lead > 0)
        degrees[value] = Degree(abs(lead), levels)
    return codes, degrees


def spelled(column: str, codes: Codes, degrees: Mapping[str, Degree]) -> str:
    """The text that `parsed` reads as this column, these codes and strengths."""
    if PROBABILITY in codes:
        return f"{column}:{PROBABILITY}"
    names = {meaning: name for name, meaning in MEANINGS.items()}

    def meaning(value: str) -> str:
        steps, levels = degrees.get(value, (0, 0))
        return names[codes[value]] + (f" {steps}/{levels}" if steps else "")

    told = ",".join(f"{value}={meaning(value)}" for value in codes)
    return f"{column}:{told}" if told else column
