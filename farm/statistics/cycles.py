"""Contradictions among pairs: three outputs of which each beats the next.

A triad is three outputs to one instruction whose three pairs were all decided. It is a cycle where every
output wins once (Kendall and Babington Smith 1940). Whoever tosses a coin for each pair makes a cycle of one
triad in four.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple

CHANCE = 0.25  # the share of cycles if each pair is decided by a coin


class Decided(NamedTuple):
    """One decided pair: the winner and the loser, any numbers of outputs."""

    winner: int
    loser: int


class Triads(NamedTuple):
    """Triads of decided pairs, and how many of them are cycles."""

    triads: int
    cycles: int


def triads_of(decided: Iterable[Decided]) -> Triads:
    """Count the triads among the decided pairs of one instruction. A pair stands there once."""
    beats: dict[int, set[int]] = {}
    for winner, loser in decided:
        beats.setdefault(winner, set()).add(loser)
        beats.setdefault(loser, set())
    triads = cycles = 0
    for a, b, c in combinations(sorted(beats), 3):
        wins = [sum(other in beats[one] for other in (a, b, c)) for one in (a, b, c)]
        if sum(wins) == 3:
            triads += 1
            cycles += wins == [1, 1, 1]
    return Triads(triads, cycles)
