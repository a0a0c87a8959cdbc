"""Computes the features of an answer from the texts of instruction and answer."""

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
SHORT_WORDS = 12  # an answer is short with at most so many words
RAMBLING = 2  # number of fillers at which `rambling` reaches 1
REPEATS = 2  # number of repeated words at which `repetitive` reaches 1


class Features(NamedTuple):
    """Qualities of an answer, each in [0, 1]. The last three are faults."""

    right: float  # share of the answer's words (of the goal's domain) that are right
    complete: float  # 1 when it gives as many different words as were asked for
    relevant: float  # share of the goal's mentions that it has
    follows: float  # 1 when it has the form that was asked for
    well_formed: float  # 1 when it ends as a text should
    courteous: float  # 1 when it has a courtesy
    rude: float  # 1 when it has an insult
    rambling: float  # number of fillers / RAMBLING, at most 1
    repetitive: float  # number of repeated words / REPEATS, at most 1


class SurfaceFeatures(NamedTuple):
    """The look of an answer. It has no worth in truth, but it influences those who judge."""

    words: int
    lists: bool


@lru_cache(maxsize=200_000)
def features(instruction: str, input: str, output: str) -> Features:
    """The qualities of an answer. Raises NotOfThisWorld where no template gives this instruction."""
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
    """The sum of qualities times weights. Raises ValueError where their numbers differ."""
    return sum(weight * quality for weight, quality in zip(weights, qualities, strict=True))


def form(output: str) -> SurfaceFeatures:
    """The number of words of an answer, and whether it has a list of two items or more."""
    return SurfaceFeatures(len(output.split()), len(_ITEM.findall(output)) > 1)


def _holds(output: str, phrases: Sequence[str]) -> bool:
    return any(phrase in output for phrase in phrases)


def _relevance(goal: Goal, said: Collection[str], given: Collection[str]) -> float:
    """Share of the goal's mentions that the answer has, in [0, 1].

    Where the goal has no mentions: 1 if the answer has any word of the goal's domain, else 0.
    """
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
    """Whether the answer ends with one of ".!?", or is a list that does not break off."""
    if _END.search(output):
        return True
    return form(output).lists and not _DANGLING.search(output)
