"""What is good about an answer, checked by program: instruction and answer as text -> features."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

from farm.world import lexicon
from farm.world.families import Goal, Wish, read

_WORD = re.compile(r"[A-Za-z]+")
_ITEM = re.compile(r"^- \S", re.MULTILINE)
_END = re.compile(r"[.!?]$")
_DANGLING = re.compile(r"(?:^|\s)(?:and|or|the|on|-)$|[,:]$")
SHORT_WORDS = 12  # as many words at most are "short"
RAMBLING = 2  # fillers from which on an answer rambles as much as one can
REPEATS = 2  # words said again from which on it could not be more repetitive


class Features(NamedTuple):
    """Qualities of an answer, each in [0, 1]; the last three are faults."""

    right: float  # share of what it says that is right
    complete: float  # 1 when as many different things are said as were asked for
    relevant: float  # share of what the instruction is about that it mentions
    follows: float  # it has the form that was asked for
    well_formed: float  # it ends as a text ends
    courteous: float
    rude: float
    rambling: float  # fillers in it, up to RAMBLING
    repetitive: float  # words said again, up to REPEATS


class SurfaceFeatures(NamedTuple):
    """How an answer looks, which is no merit of its own but sways those who judge."""

    words: int
    lists: bool


@lru_cache(maxsize=200_000)
def features(instruction: str, input: str, output: str) -> Features:
    """The qualities of an answer. Raises NotOfThisWorld where the instruction is not of this world."""
    task = read(instruction, input)
    goal, said = task.goal, _WORD.findall(output)
    named = [word for word in said if word in goal.domain]
    given = set(named)
    courteous = _holds(output, lexicon.COURTESIES)
    return Features(
        right=len(given & goal.right) / len(given) if given else 0.0,
        complete=max(0.0, 1 - abs(len(given) - goal.count) / goal.count),
        relevant=_relevance(goal, said, given),
        follows=float(_follows(task.wish, output, courteous)),
        well_formed=float(_is_well_formed(output)),
        courteous=float(courteous),
        rude=float(_holds(output, lexicon.INSULTS)),
        rambling=min(1.0, sum(output.count(filler) for filler in lexicon.FILLERS) / RAMBLING),
        repetitive=min(1.0, (len(named) - len(given)) / REPEATS),
    )


def weighed(weights: Sequence[float], qualities: Sequence[float]) -> float:
    """The sum of qualities by weight."""
    return sum(weight * quality for weight, quality in zip(weights, qualities, strict=True))


def form(output: str) -> SurfaceFeatures:
    """Its length in words, and whether it has a list of two items or more."""
    return SurfaceFeatures(len(output.split()), len(_ITEM.findall(output)) > 1)


def _holds(output: str, phrases: Sequence[str]) -> bool:
    return any(phrase in output for phrase in phrases)


def _relevance(goal: Goal, said: Collection[str], given: Collection[str]) -> float:
    """An answer that says nothing to the point is about nothing."""
    if not goal.mentions:
        return float(bool(given))
    return len(goal.mentions.intersection(said)) / len(goal.mentions)


def _follows(wish: Wish, output: str, courteous: bool) -> bool:
    return {
        Wish.NONE: True,
        Wish.LIST: form(output).lists,
        Wish.LINE: "\n" not in output,
        Wish.SHORT: 0 < form(output).words <= SHORT_WORDS,
        Wish.POLITE: courteous,
    }[wish]


def _is_well_formed(output: str) -> bool:
    """Prose ends with a full stop or the like; a list may end with an item."""
    if _END.search(output):
        return True
    return form(output).lists and not _DANGLING.search(output)
