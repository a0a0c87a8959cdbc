"""Bounds from a mean and its error: by hand, by scipy, and where every item says the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from scipy.stats import t as student

from farm.statistics.bounds import (
    clustered_error,
    difference_interval,
    share_bounds,
    share_interval,
    student_interval,
)


def test_the_effective_sample_size_reduces_to_the_counted_one() -> None:
    # m = .3, se = sqrt(.3 * .7 / 50): n_eff = 50, Wilson by hand with t(49) = 2.00958
    quantile = student.ppf(0.975, 49)
    centre = (0.3 + quantile**2 / 100) / (1 + quantile**2 / 50)
    half = quantile / (1 + quantile**2 / 50) * np.sqrt(0.3 * 0.7 / 50 + quantile**2 / 4 / 50**2)
    found = share_bounds(0.3, np.sqrt(0.3 * 0.7 / 50), 50)
    assert found == pytest.approx((centre - half, centre + half))


def test_the_clustered_error_by_hand() -> None:
    # clusters {1, 0}, {1, 1}, {0}: mean .6; sums of deviations -.2, .8, -.6; squares .04 + .64 + .36 = 1.04
    # sqrt(3 / 2 * 1.04) / 5 = .2498
    found = clustered_error(np.array([1.0, 0, 1, 1, 0]), np.array([0, 0, 1, 1, 2]))
    assert found == pytest.approx(np.sqrt(1.5 * 1.04) / 5)


@pytest.mark.parametrize("n", [2, 5, 20, 200])
def test_items_that_all_say_the_same_follow_the_rule_of_three(n: int) -> None:
    found = share_interval(1.0, 0.0, n)
    assert found.high == 1
    assert binom.pmf(n, n, found.low or 0) == pytest.approx(0.05)  # n of n are seen in one study of twenty
    mirrored = share_interval(0.0, 0.0, n)
    assert mirrored.high == pytest.approx(1 - (found.low or 0))


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20))
def test_no_interval_of_a_difference_has_width_0_or_leaves_its_range(values: list[float]) -> None:
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
    found = difference_interval(mean, error, len(values))
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low <= found.high <= 1
    assert found.high - found.low > 1e-9


def test_a_difference_is_the_interval_of_its_share() -> None:
    found = difference_interval(0.2, 0.1, 30)
    assert (found.low, found.high) == pytest.approx(
        [2 * each - 1 for each in share_bounds(0.6, 0.05, 30) or ()]
    )


def test_a_mean_without_limits_has_students_interval() -> None:
    values = np.array([0.1, 1.7, 2.2, 0.4])
    found = student_interval(float(values.mean()), float(values.std(ddof=1)) / 2, 4)
    assert (found.low, found.high) == pytest.approx(
        student.interval(0.95, 3, values.mean(), values.std(ddof=1) / 2)
    )


@pytest.mark.parametrize(("error", "n"), [(0.0, 10), (float("nan"), 1), (0.3, 1)])
def test_a_mean_without_limits_has_no_bounds_where_no_spread_was_seen(error: float, n: int) -> None:
    found = student_interval(0.4, error, n)
    assert (found.value, found.low, found.high, found.n) == (0.4, None, None, n)
