"""Chance-corrected coefficients against krippendorff, scikit-learn and statsmodels, and published tables."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa

from farm.statistics import reliability as re_
from farm.statistics.agreement import votes


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), raters=st.integers(2, 6), n=st.integers(4, 40))
def test_alpha_equals_the_library(seed: int, raters: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    ratings = rng.integers(-1, 3, (raters, n))  # -1 is missing
    units = np.tile(np.arange(n), raters)
    counts = votes(units, ratings.ravel(), n)
    if ((counts.sum(axis=1) > 1) @ (counts > 0)).astype(bool).sum() < 2:
        return
    ours = re_.krippendorff_alpha(re_.coincidences(counts).sum(axis=0))
    expected = krippendorff.alpha(
        np.where(ratings < 0, np.nan, ratings), level_of_measurement="nominal", value_domain=[0, 1, 2]
    )
    assert ours == pytest.approx(expected, abs=1e-12)


def test_alpha_of_a_published_example() -> None:
    # Krippendorff (2011), "Computing Krippendorff's alpha-reliability", binary data of two observers and ten
    # units: alpha = 0.095.
    meg = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    owen = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    counts = votes(np.tile(np.arange(10), 2), np.array(meg + owen) * 2, 10)
    assert re_.krippendorff_alpha(re_.coincidences(counts).sum(axis=0)) == pytest.approx(0.095, abs=5e-4)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(5, 60))
def test_cohen_equals_the_library(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 3, (2, n))
    if len({*a.tolist(), *b.tolist()}) < 2:
        return
    table = re_.confusion(a, b).sum(axis=0)
    assert re_.cohen_kappa(table) == pytest.approx(cohen_kappa_score(a, b, labels=[0, 1, 2]), abs=1e-12)


@given(seed=st.integers(0, 10_000), n=st.integers(5, 60), raters=st.integers(2, 8))
def test_fleiss_equals_the_library(seed: int, n: int, raters: int) -> None:
    rng = np.random.default_rng(seed)
    counts = np.array([rng.multinomial(raters, [0.5, 0.2, 0.3]) for _ in range(n)])
    if (counts.sum(axis=0) > 0).sum() < 2:
        return
    ours = re_.fleiss_kappa(re_.fleiss_sums(counts, raters).sum(axis=0))
    assert ours == pytest.approx(fleiss_kappa(counts), abs=1e-12)


def test_coefficients_without_variety_are_undefined() -> None:
    alike = np.array([[0, 0, 3], [0, 0, 3]])
    assert np.isnan(re_.krippendorff_alpha(re_.coincidences(alike).sum(axis=0)))
    assert np.isnan(re_.fleiss_kappa(re_.fleiss_sums(alike, 3).sum(axis=0)))
    assert np.isnan(re_.cohen_kappa(re_.confusion(np.array([2, 2]), np.array([2, 2])).sum(axis=0)))


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 30))
def test_alpha_of_questions_that_stand_twice_is_that_of_once(seed: int, n: int) -> None:
    counts = np.random.default_rng(seed).integers(0, 3, (n, 3))
    once = re_.krippendorff_alpha(re_.coincidences(counts).sum(axis=0))
    twice = re_.coincidences(np.vstack([counts, counts]), np.full(2 * n, 2.0))
    assert re_.krippendorff_alpha(twice.sum(axis=0)) == pytest.approx(once, abs=1e-12, nan_ok=True)


def test_pairwise_agreement_by_hand() -> None:
    # votes 2:1 pair up as one agreeing of three; 2:2 as two of six
    assert re_.pair_agreement(np.array([[2, 0, 1], [2, 0, 2]])).tolist() == [[1, 3], [2, 6]]


def worth(errors: np.ndarray) -> float:
    found = re_.effective_judges(errors)
    assert found is not None
    return found.value


def test_judges_who_never_err_are_not_counted() -> None:
    errors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1.0, 0]])
    assert re_.effective_judges(errors) == re_.PanelWorth(2.0, 2)


def test_effective_judges() -> None:
    rng = np.random.default_rng(0)
    independent = (rng.random((20_000, 9)) < 0.3).astype(float)
    assert worth(independent) == pytest.approx(9, rel=0.05)
    same = np.repeat((rng.random((500, 1)) < 0.3).astype(float), 9, axis=1)
    assert worth(same) == pytest.approx(1)
    # Two judges whose errors correlate by r are worth 2 / (1 + r).
    a = np.array([1, 1, 0, 0, 1, 0, 0, 0.0])
    b = np.array([1, 0, 0, 0, 1, 0, 0, 1.0])
    r = np.corrcoef(a, b)[0, 1]
    assert worth(np.column_stack([a, b])) == pytest.approx(2 / (1 + r))
    assert re_.effective_judges(np.zeros((10, 3))) is None


def test_judges_that_avoid_each_others_errors_are_not_worth_more_than_they_are() -> None:
    errors = np.array([[1, 0], [0, 1], [0, 0], [1, 0], [0, 1.0]])
    assert worth(errors) == 2


def test_the_flip_rate_of_votes_by_hand_and_of_flipped_coins() -> None:
    """3 against 1 has 3 agreeing pairs of 6, and two units of 2 against 0 make 5 of 8. Ties do not count."""
    counts = np.array([[3, 9, 1], [0, 1, 2], [2, 0, 0]])
    found = re_.flip_rate(counts)
    assert found is not None
    assert found.pairs == 8
    assert found.rate == pytest.approx((1 - np.sqrt(2 * 5 / 8 - 1)) / 2)
    assert re_.flip_rate(np.array([[1, 5, 0], [0, 0, 1]])) is None
    assert re_.flip_rate(np.array([[1, 0, 1]])) == (0.5, 1)
    assert re_.flip_rate(np.array([[0, 0, 4]])) == (0.0, 6)
    flips = np.random.default_rng(0).random((40_000, 3)) < 0.15
    wrong = flips.sum(axis=1)
    found = re_.flip_rate(np.column_stack([wrong, np.zeros_like(wrong), 3 - wrong]))
    assert found is not None
    assert found.rate == pytest.approx(0.15, abs=0.003)


def test_ac1_of_gwets_examples() -> None:
    """Handbook of Inter-Rater Reliability, 4th edition:

    page 120 (AC1 = 0.77544 by irrCAC, .818 of .190), with missing ratings and five categories; and 100
    pregnancies by two abstractors, AC1 = 0.8493.
    """
    raters = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 0],
            [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 3],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
        ]
    )
    counts = np.stack([(raters == category).sum(axis=0) for category in range(1, 6)], axis=1)
    sums = re_.gwet_sums(counts).sum(axis=0)
    assert re_.gwet_ac1(sums, 5) == pytest.approx(0.77544, abs=5e-6)
    assert sums[-3] / sums[-2] == pytest.approx(0.818, abs=5e-4)
    table = np.array([13, 0, 0, 0, 20, 7, 0, 4, 56], float)
    assert re_.gwet_ac1(re_.cohen_counts(table), 3) == pytest.approx(0.8493305, abs=5e-8)


@given(seed=st.integers(0, 10_000), n=st.integers(5, 60))
def test_ac1_of_two_raters_is_that_of_their_table(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 3, (2, n))
    counts = np.stack([(a == k).astype(int) + (b == k) for k in range(3)], axis=1)
    of_table = re_.cohen_counts(re_.confusion(a, b).sum(axis=0))
    assert re_.gwet_ac1(re_.gwet_sums(counts).sum(axis=0), 3) == pytest.approx(re_.gwet_ac1(of_table, 3))


def test_the_constant_predictor_has_the_commonest_category() -> None:
    """91 of 100 verdicts are `first`:

    whoever always says so is right on 91, where kappa is 0 and AC1 is not.
    """
    truth = np.array([2] * 91 + [0] * 9)
    table = re_.confusion(np.full(100, 2), truth).sum(axis=0)
    assert re_.constant_accuracy(table) == 0.91
    assert re_.cohen_kappa(table) == pytest.approx(0)
    # shares (.955, .045): P_e = 2 x .955 x .045 = .08595, and (.91 - .08595) / (1 - .08595)
    assert re_.gwet_ac1(re_.cohen_counts(table), 2) == pytest.approx(0.82405 / 0.91405)
    assert re_.commonest_share(re_.gwet_sums(np.array([[3, 0, 1], [0, 0, 4]])).sum(axis=0)) == 0.625
    assert np.isnan(re_.gwet_ac1(re_.gwet_sums(np.array([[0, 0, 3]])).sum(axis=0), 1))
