"""Agreement, bias and variance, worked by hand and by properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.statistics import agreement as ag

FIRST, TIE, SECOND = 1.0, 0.5, 0.0


def counts(*rows: list[int]) -> ag.Ints:
    return np.array(rows)


def test_categories() -> None:
    found = ag.categories(np.array([0.0, 0.2, 0.5, 0.7, 1.0, np.nan]))
    assert found.tolist() == [0, 0, 1, 2, 2, -1]


def test_a_mean_that_misses_one_half_by_rounding_is_a_tie() -> None:
    near = np.array([0.1, 0.2, 0.3, 0.4, 1.5]).sum() / 5  # .5 by decimals
    sums = [np.nextafter(0.5, 0), np.nextafter(0.5, 1), near]
    assert ag.categories(np.array(sums)).tolist() == [1, 1, 1]
    assert ag.categories(np.array([0.5 - 1e-6, 0.5 + 1e-6])).tolist() == [0, 2]


def test_votes_leave_the_unreadable_out() -> None:
    found = ag.votes(np.array([0, 0, 0, 2]), np.array([2, 2, -1, 1]), 3)
    assert found.tolist() == [[0, 0, 2], [0, 0, 0], [0, 1, 0]]


def test_agreement_with_the_mode_of_four_people() -> None:
    # AlpacaEval's documented case: preferences 1 1 1 2 of one item, one against the mode of the other three.
    # The three 1s face {1, 1, 2}: right. The 2 faces {1, 1, 1}: wrong. So 3/4; the item of four 1s gives 1.
    votes = counts([0, 0, 4], [1, 0, 3])
    places = np.array([0] * 4 + [1] * 4)
    preference = np.array([1.0] * 4 + [1.0, 1.0, 1.0, 0.0])
    assert ag.leave_one_out(preference, votes[places]).tolist() == [1, 1, 1, 1, 1, 1, 1, 0]


def test_several_modes_are_a_tie_broken_at_random_in_expectation() -> None:
    # one vote each for first and second: agreeing with a random one of them has expectation 1/2
    assert ag.agreement_with_mode(np.array([1.0, 0.0, 0.5]), counts(*[[1, 0, 1]] * 3)).tolist() == [0.5] * 3
    # first and tie: |1 - 1| and |1 - 0.5| average to an error of 1/4
    assert ag.agreement_with_mode(np.array([1.0]), counts([0, 1, 1])).tolist() == [0.75]


def test_a_soft_preference_counts_as_its_side() -> None:
    assert ag.sides(np.array([0.6, 0.5, 0.01, np.nan])).tolist() == pytest.approx(
        [1, 0.5, 0, np.nan], nan_ok=True
    )
    soft, votes = np.array([0.6, 0.5, 0.4]), counts(*[[0, 0, 3]] * 3)
    assert ag.agreement_with_mode(soft, votes).tolist() == [1.0, 0.5, 0.0]
    assert ag.self_error(np.array([0, 0]), np.array([0.6, 0.9]), 1).tolist() == [0, 0]


def test_each_person_has_one_vote() -> None:
    # ada: first, first, second -> first; ben: first, second -> tie; cleo: first, tie -> first (their mean is
    # .75); dora: unreadable, second -> second; ada on another question: second
    rows = [
        (0, 0, 2),
        (0, 0, 2),
        (0, 0, 0),
        (0, 1, 2),
        (0, 1, 0),
        (0, 2, 2),
        (0, 2, 1),
        (0, 3, -1),
        (0, 3, 0),
        (1, 0, 0),
    ]
    units, voters, category = np.array(rows).T
    found = ag.one_vote_each(units, voters, category, 2)
    voted = {(u, v): c for u, v, c in zip(*map(np.ndarray.tolist, found), strict=True)}
    assert voted == {(0, 0): 2, (0, 1): 1, (0, 2): 2, (0, 3): 0, (1, 0): 0}


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(-1, 2)), max_size=20),
    times=st.integers(2, 4),
)
def test_judging_again_alike_changes_no_vote(rows: list[tuple[int, int, int]], times: int) -> None:
    def ballots(given: list[tuple[int, int, int]]) -> ag.Ballots:
        units, voters, category = np.array(given, dtype=np.int64).reshape(-1, 3).T
        return ag.one_vote_each(units, voters, category, 3)

    once, again = ballots(rows), ballots(rows * times)
    assert all(np.array_equal(one, two) for one, two in zip(once, again, strict=True))


def test_an_outsider_faces_as_many_people_as_one_of_them_does() -> None:
    # votes 2 first, 1 second. Leave out a first (twice): {first, second} tie -> 1/2 for anyone. Leave out the
    # second: {first, first} -> 1 for `first`. So (2 * 1/2 + 1) / 3 = 2/3 for first, 1/3 for second.
    found = ag.agreement_on_equal_footing(np.array([FIRST, SECOND]), counts(*[[1, 0, 2]] * 2))
    assert found.tolist() == pytest.approx([2 / 3, 1 / 3])
    # the same figure as for the people themselves: (1/2 + 1/2 + 0) / 3 = 1/3 on average over the three
    members = ag.leave_one_out(np.array([FIRST, FIRST, SECOND]), counts(*[[1, 0, 2]] * 3))
    assert members.tolist() == [0.5, 0.5, 0.0]


def test_a_single_reference_is_faced_as_it_is() -> None:
    found = ag.agreement_on_equal_footing(
        np.array([FIRST, TIE, np.nan, FIRST]), counts(*[[0, 0, 1]] * 3, [0] * 3)
    )
    assert found[:2].tolist() == [1.0, 0.5]
    assert np.isnan(found[2:]).all()


def test_clear_majority_and_accuracy() -> None:
    votes = counts([0, 0, 3], [0, 0, 3], [1, 0, 1], [0, 0, 3], [0, 0, 0])
    preference = np.array([FIRST, TIE, FIRST, np.nan, FIRST])
    clear = ag.clear_majority(preference, votes)
    assert clear[:2].tolist() == [1, 0]
    assert np.isnan(clear[2:]).all()
    assert ag.accuracy(preference, votes, True)[3] == 0
    assert np.isnan(ag.accuracy(preference, votes, False)[3])


def test_bias_is_the_error_of_the_mode() -> None:
    own, reference = counts([3, 0, 1], [0, 1, 0], [0, 0, 0]), counts([0, 0, 4], [1, 0, 1], [1, 0, 0])
    found = ag.error_of_mode(own, reference)
    assert found[:2].tolist() == [1.0, 0.5]
    assert np.isnan(found[2])


def test_variance_is_one_against_the_mode_of_its_own_others() -> None:
    units, preference = np.array([0, 0, 0, 1]), np.array([FIRST, FIRST, SECOND, FIRST])
    found = ag.self_error(units, preference, 2)
    assert found[:3].tolist() == [0.5, 0.5, 1.0]
    assert np.isnan(found[3])  # a single judgement says nothing of variance


VOTES = st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=8)


@given(rows=VOTES, preference=st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_exchanging_the_outputs_changes_no_agreement(rows: list[list[int]], preference: float) -> None:
    votes = np.array(rows)
    given_, mirrored = np.full(len(votes), preference), np.full(len(votes), 1 - preference)
    for measure in (ag.agreement_with_mode, ag.agreement_on_equal_footing, ag.clear_majority):
        np.testing.assert_allclose(measure(given_, votes), measure(mirrored, votes[:, ::-1]))


@given(rows=VOTES)
def test_people_and_a_copy_of_one_of_them_stand_on_equal_footing(rows: list[list[int]]) -> None:
    """An outsider who repeats what a random person said agrees at least as often as the people do."""
    votes = np.array(rows)
    votes = votes[votes.sum(axis=1) > 1]
    for row in votes:
        preference = np.repeat(ag.VALUES, row)
        each = np.tile(row, (len(preference), 1))
        people = ag.leave_one_out(preference, each).mean()
        outsider = ag.agreement_on_equal_footing(preference, each).mean()
        assert outsider >= people - 1e-12
