"""Records of one kind made of another: judged outputs and groups, made of what a snapshot holds.

A group is made of the pairs of one prompt as follows. `a` is as good as `b` where P(a preferred) ≥ ½.

- Outputs that no chain of pairs links are in different groups.
- A pair that nobody judged is inferred: where a chain leads from `a` to `b` and none back, `a` is preferred;
  where chains lead both ways, it is a tie.
- Where no chain leads either way, the group is ordered only in part and is left out.
- The score of an output is its win rate: its mean P(preferred) against each other output of the group.
- Where `a` is preferred to `b` and a chain leads from `b` to `a`, the group has a cycle. It is kept: a win
  rate needs no order. Outputs that beat one another in turn get equal scores, which are ties.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from farm.models.tokens import Prompt
from farm.training.data import (
    JudgedOutput,
    OutputGroup,
    PreferencePair,
    attributed_outputs,
    check_judged,
    check_pairs,
    judged_outputs,
)
from farm.training.method import DataKind

logger = logging.getLogger(__name__)

Wins = NDArray[np.float64]
"""P(i preferred to j), (K, K); NaN where the two were not compared, and on the diagonal."""


class Grouping(NamedTuple):
    """Groups, and how many have a cycle; and what is in none of them.

    partial: groups that are ordered only in part. single: prompts with one output alone.
    """

    groups: list[OutputGroup]
    cyclic: int = 0
    partial: int = 0
    single: int = 0


def group_pairs(records: Sequence[PreferencePair]) -> Grouping:
    """The groups of some pairs, in the order in which their outputs appear.

    Raises DataError on a preference outside [0, 1] and on pairs of equal texts.
    """
    check_pairs(records)
    judged: dict[Prompt, dict[tuple[str, str], list[float]]] = {}
    for each in records:
        votes = judged.setdefault(each.prompt, {})
        votes.setdefault((each.output_a, each.output_b), []).append(each.preference)
        votes.setdefault((each.output_b, each.output_a), []).append(1 - each.preference)
    made, cyclic, partial = [], 0, 0
    for prompt, votes in judged.items():
        outputs = list(dict.fromkeys(first for first, _ in votes))
        place = {text: i for i, text in enumerate(outputs)}
        wins = np.full((len(outputs), len(outputs)), np.nan)
        for (first, second), preferences in votes.items():
            wins[place[first], place[second]] = fmean(preferences)
        for linked in _linked(wins):
            inferred, has_cycle = with_inferred(wins[np.ix_(linked, linked)])
            cyclic += has_cycle
            scores = win_rates(inferred)
            partial += scores is None
            if scores is not None:
                made.append(OutputGroup(prompt, tuple(outputs[i] for i in linked), scores))
    return Grouping(made, cyclic, partial)


def group_outputs(records: Sequence[JudgedOutput]) -> Grouping:
    """The outputs of each prompt with their labels as scores, in the order in which they appear.

    Raises DataError on a label outside [0, 1].
    """
    check_judged(records)
    rated: dict[Prompt, dict[str, list[float]]] = {}
    for each in records:
        rated.setdefault(each.prompt, {}).setdefault(each.output, []).append(each.label)
    groups = [
        OutputGroup(prompt, tuple(outputs), tuple(map(fmean, outputs.values())))
        for prompt, outputs in rated.items()
        if len(outputs) > 1
    ]
    return Grouping(groups, single=len(rated) - len(groups))


def with_inferred(wins: Wins) -> tuple[Wins, bool]:
    """The same with pairs that nobody judged, as far as chains of others say; and whether it has a cycle."""
    reaches = _closure(wins >= 0.5)
    inferred = np.where(reaches & reaches.T, 0.5, np.where(reaches, 1.0, np.where(reaches.T, 0.0, np.nan)))
    whole = np.where(np.isnan(wins), inferred, wins)
    np.fill_diagonal(whole, np.nan)
    return whole, bool(((wins > 0.5) & reaches.T).any())


def win_rates(wins: Wins) -> tuple[float, ...] | None:
    """The mean of each row without its diagonal; None where two outputs are not compared."""
    size = len(wins)
    rows = [[float(wins[i, j]) for j in range(size) if j != i] for i in range(size)]
    return None if np.isnan(rows).any() else tuple(map(fmean, rows))


def _linked(wins: Wins) -> Iterable[list[int]]:
    """The numbers of outputs that chains of pairs link, part by part."""
    links = _closure(~np.isnan(wins))
    seen: set[int] = set()
    for i in range(len(wins)):
        if i not in seen:
            part = np.flatnonzero(links[i]).tolist()
            seen.update(part)
            yield part


def _closure(edges: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a chain of edges leads from i to j: (K, K) -> (K, K), true on the diagonal."""
    reaches = edges | np.eye(len(edges), dtype=bool)
    for k in range(len(reaches)):
        reaches |= np.outer(reaches[:, k], reaches[k])
    return reaches


GROUPINGS: Mapping[DataKind, Callable[[Sequence[Any]], Grouping]] = {
    "pairs": group_pairs,
    "judged": group_outputs,
}
"""What a snapshot holds -> what makes groups of it."""


def groups_of(held: DataKind) -> Callable[[Sequence[Any]], list[OutputGroup]]:
    """Makes groups of what a snapshot holds, and logs what is left out."""

    def make(records: Sequence[Any]) -> list[OutputGroup]:
        found = GROUPINGS[held](records)
        if found.partial:
            logger.warning("left out: %d groups of outputs are ordered only in part", found.partial)
        if found.single:
            logger.warning("left out: %d instructions have one output alone", found.single)
        if found.cyclic:
            logger.warning("%d groups of outputs have a cycle; they are scored by win rates", found.cyclic)
        return found.groups

    return make


MADE: Mapping[tuple[DataKind, DataKind], Callable[[Sequence[Any]], Sequence[object]]] = {
    ("pairs", "judged"): judged_outputs,
    ("pairs", "attributes"): attributed_outputs,
    ("pairs", "groups"): groups_of("pairs"),
    ("judged", "groups"): groups_of("judged"),
}
"""What a snapshot holds, and what a method learns from -> what makes the one of the other."""

FROM_SNAPSHOT: tuple[DataKind, ...] = ("pairs", "referenced", "judged", "attributes", "questions", "groups")
"""The data kinds whose records come from a snapshot."""
