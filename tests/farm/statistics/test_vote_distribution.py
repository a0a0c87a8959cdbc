"""Scores of vote shares, worked by hand and against the chances that made the votes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from farm.statistics.vote_distribution import Shares, brier, divergence, least_brier, shares, shares_of_counts


def of(*preference: float) -> Shares:
    """Judgements of one question."""
    return shares(np.zeros(len(preference), dtype=np.int64), np.array(preference), 1)


def test_brier_by_hand() -> None:
    # The judge says 1, 1, 0: mean 2/3, sample variance 1/3. People say 1, 0: against them the mean errs by
    # (1/3)^2 and (2/3)^2, on average 5/18. Its three judgements scatter by (1/3) / 3: 5/18 - 2/18 = 1/6.
    assert brier(of(1, 1, 0), of(1, 0)).tolist() == pytest.approx([1 / 6])
    assert brier(of(1, 1), of(1, 1, 1)).tolist() == [0]
    assert brier(of(1, 1), of(0)).tolist() == [1]


def test_the_least_brier_is_half_of_peoples_disagreement() -> None:
    # Of the six pairs among 1 1 1 0 three disagree: (3/6) / 2 = 1/4.
    assert least_brier(of(1, 1, 1, 0)).tolist() == [0.25]
    assert least_brier(of(1, 1)).tolist() == [0]
    assert math.isnan(least_brier(of(1))[0])


def test_divergence_is_finite_and_scipys() -> None:
    # Four judgements for the first output are taken for (4 + 1/2) / 5 = 0.9.
    assert divergence(of(1, 1, 1, 1), of(1, 0)).tolist() == pytest.approx([entropy([0.5, 0.5], [0.9, 0.1])])
    assert divergence(of(0, 0), of(1)).tolist() == pytest.approx([math.log(6)])  # 0.5 / 3


def test_what_cannot_be_known_is_not_told() -> None:
    for own, people in ((of(1), of(1, 0)), (of(math.nan, 1), of(1)), (of(1, 1), of())):
        assert math.isnan(brier(own, people)[0])
        assert math.isnan(divergence(own, people)[0])


def test_ties_are_half_a_vote_for_either() -> None:
    counts = np.array([[1, 2, 3], [0, 0, 0]])
    listed = shares(np.zeros(6, dtype=np.int64), np.array([0, 0.5, 0.5, 1, 1, 1.0]), 2)
    for one, other in zip(shares_of_counts(counts), listed, strict=True):
        assert one.tolist() == pytest.approx(other.tolist(), nan_ok=True)


@pytest.mark.parametrize("judgements", [2, 5])
def test_the_score_is_that_of_the_chances_however_few_judgements_tell_them(judgements: int) -> None:
    dice = np.random.default_rng(0)
    n = 40_000
    p, q = dice.random(n), dice.random(n)
    places = np.repeat(np.arange(n), judgements)
    own = shares(places, (dice.random(n * judgements) < p[places]).astype(float), n)
    people = shares(np.repeat(np.arange(n), 3), (dice.random(n * 3) < np.repeat(q, 3)).astype(float), n)
    assert brier(own, people).mean() == pytest.approx(((p - q) ** 2 + q * (1 - q)).mean(), abs=0.01)
    assert least_brier(people).mean() == pytest.approx((q * (1 - q)).mean(), abs=0.005)


@given(
    st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2),
    st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1),
)
def test_naming_the_other_output_first_changes_nothing(own: list[float], people: list[float]) -> None:
    turned = of(*(1 - p for p in own)), of(*(1 - p for p in people))
    assert brier(*turned) == pytest.approx(brier(of(*own), of(*people)))
    assert divergence(*turned) == pytest.approx(divergence(of(*own), of(*people)))
    assert (divergence(*turned) > -1e-12).all()


ANY = st.floats(0, 1)


@given(st.lists(ANY, min_size=2), st.lists(ANY, min_size=2), st.lists(ANY, min_size=1))
def test_two_scores_beside_the_same_people_differ_by_1_at_most(
    one: list[float], other: list[float], people: list[float]
) -> None:
    """Each score is a mean of (v - h)(w - h) over two of the judgements and a person, and can be below 0."""
    scores = [brier(of(*each), of(*people))[0] for each in (one, other)]
    assert abs(scores[0] - scores[1]) <= 1 + 1e-12
    pairs = [(v - h) * (w - h) for i, v in enumerate(one) for w in one[:i] for h in people]
    assert scores[0] == pytest.approx(np.mean(pairs), abs=1e-12)
