"""Which questions one request can answer, where it ranks several outputs of an instruction.

A request of k outputs answers the questions about all their k (k - 1) / 2 pairs. So the pairs that are open
are cut into groups: each pair is in one group, and every two outputs of a group are an open pair. Where every
two of k outputs are open, and k may be shown together, that is one group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from annotators.shown import ShownPair
from db.ids import Json


class RankedQuestion(NamedTuple):
    """A question about a pair. together: questions share a request only where this is equal, which is the
    instruction, the replicate, and the direction in which places are shown."""

    shown: ShownPair
    together: tuple[Json, ...]


def rankings(questions: Sequence[RankedQuestion], most: int) -> Iterator[list[int]]:
    """The places of the questions of each request, in the order of ShownOutputs.of.

    most: outputs that may be shown together.
    """
    by: defaultdict[tuple[Json, ...], dict[tuple[str, str], int]] = defaultdict(dict)
    for place, (shown, together) in enumerate(questions):
        first, second = shown.in_order
        by[together][first.key, second.key] = place
    for places in by.values():
        for group in cliques(places, most):
            ahead = {key: sum((key, other) in places for other in group) for key in group}
            in_order = sorted(group, key=lambda key: -ahead[key])
            yield [places[pair] for pair in combinations(in_order, 2)]


def cliques(pairs: Collection[tuple[str, str]], most: int) -> Iterator[list[str]]:
    """Cut pairs into groups of 2 to `most` members: each pair is in one group, and every two members of a
    group are one of the pairs.

    Greedy: a group begins with the member of most pairs, and takes in whoever has most pairs with those who
    can still join. Names decide between equals.
    """
    met: defaultdict[str, set[str]] = defaultdict(set)
    for one, other in pairs:
        met[one].add(other)
        met[other].add(one)
    while met:
        group = [min(met, key=lambda each: (-len(met[each]), each))]
        free = set(met[group[0]])
        while free and len(group) < most:
            group.append(min(free, key=lambda each: (-len(free & met[each]), each)))
            free &= met[group[-1]]
        yield group
        for each in group:
            met[each] -= set(group)
            if not met[each]:
                del met[each]
