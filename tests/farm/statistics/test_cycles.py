"""Cycles of three outputs: by hand, and as often as Kendall and Babington Smith say."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from farm.statistics.cycles import CHANCE, Decided, Triads, triads_of


def test_cycles_by_hand() -> None:
    order = [Decided(1, 2), Decided(2, 3), Decided(1, 3)]
    cycle = [Decided(1, 2), Decided(2, 3), Decided(3, 1)]
    assert triads_of(order) == Triads(1, 0)
    assert triads_of(cycle) == Triads(1, 1)
    assert triads_of(order[:2]) == Triads(0, 0)  # the third pair was not judged
    # 1 beats 2, 2 beats 3, 3 beats 1, and all beat 4: one cycle in four triads
    assert triads_of([*cycle, *(Decided(k, 4) for k in (1, 2, 3))]) == Triads(4, 1)
    assert triads_of([]) == Triads(0, 0)


def test_coins_make_a_cycle_of_one_triad_in_four() -> None:
    rng = np.random.default_rng(0)
    cycles = triads = 0
    for _ in range(60):
        pairs = combinations(range(8), 2)
        found = triads_of(Decided(a, b) if rng.random() < 0.5 else Decided(b, a) for a, b in pairs)
        triads, cycles = triads + found.triads, cycles + found.cycles
    assert triads == 60 * 56
    assert abs(cycles / triads - CHANCE) < 0.03
    # Of n = 8 the expected number is n (n - 1) (n - 2) / 24 = 14 a tournament.
    assert abs(cycles / 60 - 14) < 1.5
