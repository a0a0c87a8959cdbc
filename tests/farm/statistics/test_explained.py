"""R²: scipy's correlation, clusters, edges, and the coverage of its interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from farm.statistics.explained import explained


def test_the_value_is_scipys_and_has_no_sign() -> None:
    rng = np.random.default_rng(0)
    x, noise = rng.standard_normal((2, 60))
    y, clusters = 0.6 * x + noise, np.repeat(np.arange(20), 3)
    found = explained(x, y, clusters)
    assert found.value == pytest.approx(stats.pearsonr(x, y).statistic ** 2, abs=1e-12)
    assert found.n == 20
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low < found.value < found.high <= 1
    turned, moved = explained(x, -y, clusters), explained(1e6 + 10 * x, y - 1e3, clusters)
    assert (turned.low, turned.high) == pytest.approx((found.low, found.high))
    assert moved.value == pytest.approx(found.value)


def test_the_error_is_the_jackknifes_over_clusters() -> None:
    """Spelled out: z without each cluster, by scipy."""
    rng = np.random.default_rng(1)
    x, noise = rng.standard_normal((2, 24))
    y, clusters = 3 * x + noise, np.repeat(np.arange(8), 3)
    z = [np.arctanh(stats.pearsonr(x[clusters != g], y[clusters != g]).statistic) for g in range(8)]
    error = (7 / 8 * np.square(z - np.mean(z)).sum()) ** 0.5
    r = stats.pearsonr(x, y).statistic
    bounds = np.tanh(np.arctanh(r) + np.array([-1, 1]) * stats.t.ppf(0.975, 7) * error) ** 2
    found = explained(x, y, clusters)
    assert (found.low, found.high) == pytest.approx(tuple(bounds), abs=1e-9)


def test_twice_the_same_rows_of_a_cluster_say_nothing_new() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 30))
    clusters = np.arange(30)
    once, twice = explained(x, y, clusters), explained(np.tile(x, 2), np.tile(y, 2), np.tile(clusters, 2))
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))
    assert twice.n == once.n


def test_where_little_is_shown_there_are_no_bounds() -> None:
    assert explained([], [], []).value is None
    assert explained([1.0, 2.0], [1.0, 3.0], [0, 0]).value is None
    same = explained([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], [0, 1, 2])
    assert (same.value, same.low, same.high) == (None, None, None)
    for line in ([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]):
        found = explained(line, [1.0, 2.0, 3.0, 4.0], [0, 1, 2, 3])
        assert found.value == pytest.approx(1)
        assert found.low is None
    few = explained([1.0, 2.0, 4.0], [2.0, 1.0, 3.0], [0, 1, 1])
    assert few.value is not None
    assert few.low is None
    with pytest.raises(ValueError, match="finite"):
        explained([1.0, np.nan], [1.0, 2.0], [0, 1])


@pytest.mark.parametrize("groups", [10, 60])
@pytest.mark.parametrize("rho", [0.0, 0.4, 0.8])
def test_the_interval_covers(groups: int, rho: float) -> None:
    """Five values to a cluster, half of whose variance they share. 400 draws tell the share within .03."""
    rng, hits = np.random.default_rng(groups), 0
    clusters = np.repeat(np.arange(groups), 5)
    for _ in range(400):
        shared, own = rng.standard_normal((2, groups, 1)), rng.standard_normal((2, groups, 5))
        x, other = (shared + own) / 2**0.5
        found = explained(x.ravel(), (rho * x + (1 - rho**2) ** 0.5 * other).ravel(), clusters)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= rho**2 <= found.high
    assert 0.915 <= hits / 400 <= 0.985
