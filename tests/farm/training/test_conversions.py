"""Groups made of pairs and of judged outputs: win rates, chains, cycles, what is left out."""

from __future__ import annotations

import logging
import random
from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.models.tokens import Prompt
from farm.training.conversions import MADE, Grouping, group_outputs, group_pairs, win_rates, with_inferred
from farm.training.data import DataError, JudgedOutput, OutputGroup, PreferencePair

Q, R = Prompt("q"), Prompt("r")


def pair(text: str, preference: float = 1.0, prompt: Prompt = Q) -> PreferencePair:
    return PreferencePair(prompt, text[0], text[1], preference)


def test_groups_of_pairs_have_win_rates() -> None:
    """a wins 1 and 1/2 of its two pairs, b 0 and 1/4, c 1/2 and 3/4; two people judged nothing else."""
    records = [pair("ab"), pair("xy", 0.0, R), pair("ca", 0.5), pair("bc", 0.25)]
    assert group_pairs(records) == Grouping(
        [OutputGroup(Q, ("a", "b", "c"), (0.75, 0.125, 0.625)), OutputGroup(R, ("x", "y"), (0.0, 1.0))],
    )


def test_what_a_chain_says_need_not_be_judged() -> None:
    """a > b > c = d: then a beats c and d, b beats d. a 3/3, b 2/3, c and d 1/2 of 3."""
    [group] = group_pairs([pair("ab"), pair("bc", 0.8), pair("cd", 0.5)]).groups
    assert list(group.scores) == pytest.approx([1, (0 + 0.8 + 1) / 3, (0 + 0.2 + 0.5) / 3, 0.5 / 3])


def test_a_cycle_is_counted_and_kept_with_equal_scores() -> None:
    """a > b > c > a: each wins one of two. d loses to all of them by the chain over a."""
    found = group_pairs([pair("ab"), pair("bc"), pair("ca"), pair("ad")])
    assert (found.cyclic, found.partial) == (1, 0)
    assert dict(zip(found.groups[0].outputs, found.groups[0].scores, strict=True)) == {
        "a": pytest.approx(2 / 3),
        "b": pytest.approx(2 / 3),
        "c": pytest.approx(2 / 3),
        "d": 0.0,
    }
    tied = group_pairs([pair("ab", 0.5), pair("bc", 0.5), pair("ca", 0.6)])
    assert tied.cyclic == 1, "c > a although a = b = c"
    assert group_pairs([pair("ab", 0.5), pair("bc", 0.5), pair("ca", 0.5)]).cyclic == 0


def test_outputs_that_nothing_links_are_apart_and_an_order_in_part_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """a > b and a > c say nothing of b and c; d > e is a group of its own; two texts of R make another."""
    records = [pair("ab"), pair("ac"), pair("de"), pair("ab", 0.5, R)]
    found = group_pairs(records)
    assert [group.outputs for group in found.groups] == [("d", "e"), ("a", "b")]
    assert (found.cyclic, found.partial) == (0, 1)
    with caplog.at_level(logging.WARNING):
        assert MADE["pairs", "groups"](records) == found.groups
    assert "left out: 1 groups of outputs are ordered only in part" in caplog.text


def test_ratings_are_groups_too(caplog: pytest.LogCaptureFixture) -> None:
    records = [JudgedOutput(Q, "a", 0.25), JudgedOutput(R, "x", 1.0), JudgedOutput(Q, "b", 0.25)]
    with caplog.at_level(logging.WARNING):
        assert MADE["judged", "groups"](records) == [OutputGroup(Q, ("a", "b"), (0.25, 0.25))]
    assert "left out: 1 instructions have one output alone" in caplog.text
    assert group_outputs([JudgedOutput(Q, "a", 1.0)]) == Grouping([], single=1)
    with pytest.raises(DataError, match="a label is 2"):
        group_outputs([JudgedOutput(Q, "a", 2.0)])


@settings(max_examples=40)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_a_ranking_is_found_again_whatever_pairs_follow_from_others(
    levels: list[int], chance: random.Random
) -> None:
    """Of a ranking with ties the pairs of neighbours are kept, and some others."""
    names = "abcdefgh"[: len(levels)]
    by_level = sorted(range(len(levels)), key=lambda i: levels[i])
    needed = {frozenset(two) for two in pairwise(by_level)}
    records = []
    for i, j in combinations(range(len(levels)), 2):
        if frozenset((i, j)) in needed or chance.random() < 0.5:
            preference = 0.5 + 0.5 * np.sign(levels[i] - levels[j])
            records.append(PreferencePair(Q, names[i], names[j], float(preference)))
    found = group_pairs(records)
    assert (found.cyclic, found.partial) == (0, 0)
    [group] = found.groups
    score = dict(zip(group.outputs, group.scores, strict=True))
    for i, j in permutations(range(len(levels)), 2):
        assert np.sign(score[names[i]] - score[names[j]]) == np.sign(levels[i] - levels[j])


def test_chains_are_followed_as_long_as_they_go() -> None:
    """A chain of ten says all of 45 pairs; a gap says nothing."""
    wins = np.full((10, 10), np.nan)
    for i in range(9):
        wins[i, i + 1], wins[i + 1, i] = 1.0, 0.0
    whole, has_cycle = with_inferred(wins)
    assert win_rates(whole) == tuple((9 - i) / 9 for i in range(10))
    assert not has_cycle
    wins[4, 5] = wins[5, 4] = np.nan
    assert win_rates(with_inferred(wins)[0]) is None
