"""Annotators beside each other, on verdicts written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from farm.statistics.dawid_skene import Consensus
from farm.statistics.panel import Votes, consensus_of, effective_judges_of, pairs_of

SECOND, TIE, FIRST = 0, 1, 2


def votes(*rows: tuple[int, int, int], units: int, annotators: int) -> Votes:
    """Rows of (unit, annotator, category)."""
    unit, annotator, category = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return Votes(unit, annotator, category, n_units=units, n_annotators=annotators)


def table(verdicts: list[list[int]]) -> Votes:
    """One list of categories for each annotator, all on the same units."""
    rows = [(unit, who, given) for who, row in enumerate(verdicts) for unit, given in enumerate(row)]
    return votes(*rows, units=len(verdicts[0]), annotators=len(verdicts))


def test_votes_of_judgements_leave_out_the_unreadable_and_the_unwanted() -> None:
    units, codes, given = np.array([0, 1, 1, 2]), np.array([7, 7, 9, 8]), np.array([FIRST, -1, TIE, FIRST])
    found = Votes.of(units, codes, given, [9, 7], 3)
    assert found.units.tolist() == [0, 1]
    assert found.annotators.tolist() == [1, 0]
    assert found.category.tolist() == [FIRST, TIE]
    assert (found.n_units, found.n_annotators) == (3, 2)


def test_one_each_is_the_side_of_the_mean() -> None:
    found = votes(
        *[(0, 0, FIRST), (0, 0, FIRST), (0, 0, TIE)],
        *[(1, 0, FIRST), (1, 0, SECOND)],  # two orders that contradict each other: a tie
        (1, 1, TIE),
        units=2,
        annotators=2,
    ).one_each()
    rows = [*zip(found.units, found.annotators, found.category, strict=True)]
    assert rows == [(0, 0, FIRST), (1, 0, TIE), (1, 1, TIE)]


def test_pairs_by_hand() -> None:
    # a and b share 4 units and agree on 3. Shares of first: 2/4 and 3/4, of second: 2/4 and 1/4, so chance is
    # 2/4 * 3/4 + 2/4 * 1/4 = 1/2 and kappa (3/4 - 1/2) / (1/2) = 1/2. c shares one unit with a alone.
    first = [(0, 0, FIRST), (1, 0, FIRST), (2, 0, SECOND), (3, 0, SECOND), (4, 0, TIE)]
    second = [(0, 1, FIRST), (1, 1, FIRST), (2, 1, FIRST), (3, 1, SECOND)]
    found = list(pairs_of(votes(*first, *second, (4, 2, TIE), units=5, annotators=3), ["a", "b", "c"]))
    assert [(pair.a, pair.b, pair.n) for pair in found] == [("a", "b", 4), ("a", "c", 1)]
    assert found[0].agreement == 0.75
    assert found[0].cohen_kappa == pytest.approx(0.5)
    assert (found[1].agreement, found[1].cohen_kappa) == (1.0, None)  # one category alone: undefined


def test_two_judges_with_the_same_errors_are_worth_one() -> None:
    rng = np.random.default_rng(0)
    truth = np.full(50, FIRST)
    wrong = rng.random(50) < 0.4
    same = np.where(wrong, SECOND, FIRST).tolist()
    found = effective_judges_of(table([same, same]), truth)
    assert found is not None
    assert found.value == pytest.approx(1.0)
    assert (found.judges, found.n) == (2, 50)


def test_judges_of_both_orders_keep_their_questions() -> None:
    """A judge whose two orders contradict each other is half wrong there, not absent."""
    flips = [(unit, who, given) for unit in range(40) for who in (0, 1) for given in (FIRST, SECOND)]
    steady = [(unit, who, FIRST) for unit in range(40, 60) for who in (0, 1)]
    found = effective_judges_of(votes(*flips, *steady, units=60, annotators=2), np.full(60, FIRST))
    assert found is not None
    assert found.value == pytest.approx(1.0)
    assert found.n == 60


def test_those_who_judged_little_are_left_out_of_the_effective_number() -> None:
    """One who judged 39 of 80 questions is left out; one who judged 60 counts, on those 60."""
    rng = np.random.default_rng(1)
    busy = [rng.choice([FIRST, SECOND], size).tolist() for size in (80, 80, 60)]
    rows = [(unit, who, given) for who, row in enumerate(busy) for unit, given in enumerate(row)]
    idle = [(unit, 3, FIRST) for unit in range(39)]
    truth = np.full(80, FIRST)
    found = effective_judges_of(votes(*rows, *idle, units=80, annotators=4), truth)
    assert found is not None
    assert (found.judges, found.n) == (3, 60)
    truth[25:] = -1  # 25 questions with a truth are too few
    assert effective_judges_of(votes(*rows, *idle, units=80, annotators=4), truth) is None


def test_a_consensus_or_the_reason_for_none() -> None:
    rng = np.random.default_rng(2)
    truth = rng.choice([FIRST, SECOND], 100)
    judges = [np.where(rng.random(100) < 0.8, truth, 2 - truth).tolist() for _ in range(3)]
    assert isinstance(consensus_of(table(judges), truth, np.arange(100)), Consensus)
    refusal = consensus_of(table(judges), np.full(100, -1), np.arange(100))
    assert isinstance(refusal, str)
    assert "there are 0" in refusal
