"""eva's choice: informativeness and weights by hand, and how often each instruction is drawn."""

from __future__ import annotations

from collections import Counter

import pytest
from scipy.stats import binomtest

from farm.rounds.creator import MEASURES, choose, from_place, weights


def test_informativeness_is_what_the_best_draw_is_above_the_worst_or_the_mean() -> None:
    rewards = (1.0, 0.25, 0.25)
    assert MEASURES["gap"](rewards) == pytest.approx(0.75)
    assert MEASURES["advantage"](rewards) == pytest.approx(0.5)
    assert MEASURES["uniform"](rewards) == MEASURES["uniform"]((0.0, 1.0))


def test_weights_by_hand() -> None:
    """(1, 2, 4) scaled to [0, 1] is (0, 1/3, 1), whose sum is 4/3."""
    assert weights([1.0, 2.0, 4.0]) == pytest.approx([0.0, 0.25, 0.75])
    assert weights([0.5, 0.5, 0.5, 0.5]) == [0.25] * 4
    assert weights([7.0]) == [1.0]


def test_instructions_are_drawn_without_replacement_in_proportion_to_their_weights() -> None:
    """Of weights 0, 1/4 and 3/4 the last is first in 3/4 of the draws; the one of 0 is never among two."""
    values, draws = {"a": 1.0, "b": 2.0, "c": 4.0}, 2_000
    found = [tuple(choose(values, 2, seed)) for seed in range(draws)]
    assert {frozenset(each) for each in found} == {frozenset("bc")}
    first = Counter(each[0] for each in found)
    assert binomtest(first["c"], draws, 0.75).pvalue > 1e-3
    assert sorted(choose(values, 3, 0)) == ["a", "b", "c"]


def test_equal_instructions_are_drawn_equally_often_and_another_key_draws_others() -> None:
    values, draws = dict.fromkeys("abcd", 0.5), 2_000
    found = Counter(choose(values, 1, seed)[0] for seed in range(draws))
    assert all(binomtest(count, draws, 0.25).pvalue > 1e-3 for count in found.values())
    assert choose(values, 2, 3, 1) == choose(dict(reversed(values.items())), 2, 3, 1)
    assert choose({}, 2, 0) == []


def test_each_instruction_of_the_set_is_used_before_one_comes_again() -> None:
    names = "abcdefg"
    rounds = [from_place(names, number, 3, 0)[:3] for number in (1, 2, 3)]
    assert sorted(rounds[0] + rounds[1] + rounds[2][:1]) == list(names)
    assert rounds[2][1:] == rounds[0][:2]
    assert from_place(names, 1, 3, 1) != from_place(names, 1, 3, 0)
