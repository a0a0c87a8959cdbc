"""Thresholds of a cascade: values by hand and by other libraries, and a promise that is kept."""

from __future__ import annotations

import os

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

from farm.statistics.selective import (
    NEVER,
    OPEN,
    ConfidentVotes,
    Hits,
    clopper_pearson,
    decided_right,
    effective_hits,
    fit_cascade,
    p_value,
    stages,
    threshold_path,
)
from tests.support.benchmark_scripts import benchmark

CALIBRATIONS = 1_000 if os.environ.get("FARM_FULL") else 120


@pytest.mark.parametrize(("hits", "n"), [(0, 12), (1, 12), (83, 100), (100, 100), (412, 500)])
def test_bounds_and_p_values_are_those_of_other_libraries(hits: int, n: int) -> None:
    low, high = clopper_pearson(Hits(hits, n), 0.95)
    two_sided = proportion_confint(hits, n, alpha=0.1, method="beta")  # 5 % on either side
    assert (low, high) == pytest.approx(two_sided, abs=1e-12)
    assert p_value(Hits(hits, n), 0.8) == pytest.approx(binomtest(hits, n, 0.8, "greater").pvalue, abs=1e-12)


def test_a_promise_is_rejected_exactly_where_its_bound_lies_below() -> None:
    for hits in range(60, 101):
        low, _ = clopper_pearson(Hits(hits, 100), 0.95)
        assert (p_value(Hits(hits, 100), 0.8) <= 0.05) == (low >= 0.8)


def test_clusters_count_as_what_they_are_worth() -> None:
    """Every item written down three times tells what one of each tells, less one degree of freedom.

    Var of the mean in G clusters is s^2 / G with s^2 over G - 1; of 3G independent items it would be
    p (1 - p) / (3G - 1). With G = 50: effect = (p q / 49) / (p q / 149) = 149 / 49, and 150 / effect = 49.33.
    """
    right = np.random.default_rng(0).random(50) < 0.8
    once = effective_hits(right, np.arange(50))
    thrice = effective_hits(np.repeat(right, 3), np.repeat(np.arange(50), 3))
    assert once == pytest.approx((right.sum(), 50))
    assert thrice.n == pytest.approx(150 * 49 / 149)
    assert thrice.hits / thrice.n == pytest.approx(right.mean())
    assert effective_hits(np.ones(60, bool), np.repeat(np.arange(20), 3)) == (20, 20)  # all alike


def test_the_first_sure_judge_decides() -> None:
    confidence = np.array([[0.9, 1.0], [0.89, 0.7], [np.nan, 0.8], [0.5, np.nan], [0.6, 0.6]])
    assert stages(confidence, (0.9, 0.7)).tolist() == [0, 1, 1, OPEN, OPEN]
    assert stages(confidence, (NEVER, 0.5)).tolist() == [1, 1, 1, OPEN, 1]


def test_thresholds_by_hand() -> None:
    """The first judge is right on 3 of its 4 surest, and on 3 of all 5.

    At 3/4 it decides four, at 1 three.
    """
    confidence = np.array([[1.0, 0.5], [0.9, 0.9], [0.8, 0.9], [0.7, 0.9], [0.6, 0.9]])
    right = np.array([[True, True], [True, True], [True, True], [False, True], [False, True]])
    judged = ConfidentVotes(confidence, right, np.arange(5))
    path = threshold_path(judged, 0.75)
    assert path[0] == (0.8, 0.9)
    assert path[-1] == (0.7, 0.9)
    assert decided_right(judged, stages(confidence, path[-1])).tolist() == [True, True, True, False, True]


PROMISES = benchmark("promises")
draw = PROMISES.draw


@pytest.mark.proof
@pytest.mark.parametrize("size", [1, 4])
def test_a_promise_is_kept_as_often_as_is_said(size: int) -> None:
    """Of many calibrations at most 1 in 20 may break its promise; what is true is told by a large sample."""
    made = list(PROMISES.calibrations(CALIBRATIONS, 0.85, 480, size))
    broken = sum(each.agreement < 0.85 for each in made)
    limit = binomtest(broken, CALIBRATIONS, 0.05, "greater").pvalue
    assert limit > 1e-3, f"{broken} of {CALIBRATIONS} broke their promise"
    assert len(made) > CALIBRATIONS / 5
    assert np.mean([each.coverage for each in made]) > 0.4  # and it is no empty promise


def test_what_cannot_be_promised_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="too few, or the judges are too often wrong"):
        fit_cascade(draw(rng, 60), draw(rng, 60), promise=0.95)
    with pytest.raises(ValueError, match="on less than 99%"):
        fit_cascade(draw(rng, 200), draw(rng, 200), promise=0.9, least_coverage=0.99)
    wrong = ConfidentVotes(np.full((50, 1), 0.9), np.zeros((50, 1), bool), np.arange(50))
    with pytest.raises(ValueError, match="however sure it is"):
        fit_cascade(wrong, wrong, promise=0.8)
