"""The L1 logistic solver against scikit-learn's liblinear, brought to its minimum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from farm.statistics import logistic
from farm.statistics.logistic import l1_logistic, liblinear

Floats = NDArray[np.float64]


def exact(features: Floats, labels: Floats, weights: Floats) -> Floats:
    model = LogisticRegression(
        l1_ratio=1, solver="liblinear", fit_intercept=False, tol=1e-12, max_iter=100_000, random_state=0
    )
    doubled = np.concatenate([weights * labels, weights * (1 - labels)])
    model.fit(np.tile(features, (2, 1)), np.repeat([1, 0], len(labels)), sample_weight=doubled)
    return np.asarray(model.coef_[0])


def objective(w: Floats, features: Floats, labels: Floats, weights: Floats) -> float:
    z = features @ w
    return float(np.abs(w).sum() + weights @ (np.logaddexp(0, z) - labels * z))


def problem(seed: int, n: int, d: int) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, d)) * rng.choice([0.1, 1, 10], d)
    labels = rng.choice([0, 0.5, 1], n) if seed % 2 else np.round(rng.random(n), 3)
    labels[:2] = 0, 1  # liblinear needs both classes
    return features, labels, rng.random(n) + 0.1


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(8, 60), st.integers(1, 5), st.floats(-3, 4))
def test_equals_liblinear(seed: int, n: int, d: int, power: float) -> None:
    features, labels, weights = problem(seed, n, d)
    weights *= 10**power
    ours = l1_logistic(features, labels, weights[None])[0]
    theirs = exact(features, labels, weights)
    least = objective(theirs, features, labels, weights)
    assert objective(ours, features, labels, weights) <= least + 1e-9 * max(1, abs(least))
    assert ours == pytest.approx(theirs, abs=1e-6, rel=1e-6)


def test_a_batch_is_its_problems_one_by_one() -> None:
    features, labels, weights = problem(3, 50, 3)
    batch = np.stack([weights, 2 * weights, np.where(np.arange(50) % 5 == 0, 0, weights)])
    together = l1_logistic(features, labels, batch)
    for row, found in zip(batch, together, strict=True):
        assert found == pytest.approx(l1_logistic(features, labels, row[None])[0], abs=1e-9)
    assert l1_logistic(features, labels, batch, start=together) == pytest.approx(together, abs=1e-9)


def test_blocks_of_rows_are_one_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels, weights = problem(5, 50, 3)
    batch = np.stack([weights, np.where(np.arange(50) % 5 == 0, 0, weights)])
    whole = l1_logistic(features, labels, batch)
    monkeypatch.setattr(logistic, "BLOCK", 14)  # seven rows at a time
    assert l1_logistic(features, labels, batch) == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize("strength", [1e-2, 1, 1e4])
def test_separated_data_have_a_finite_minimum(strength: float) -> None:
    x = np.linspace(-1, 1, 20)[:, None]
    labels = (x[:, 0] > 0).astype(float)
    weights = np.full(20, strength)
    ours = l1_logistic(x, labels, weights[None])[0]
    assert ours == pytest.approx(exact(x, labels, weights), abs=1e-6, rel=1e-6)


def test_only_wins_and_equal_columns() -> None:
    ones = np.ones((30, 1))
    found = l1_logistic(ones, np.ones(30), np.ones((1, 30)))[0, 0]
    assert found == pytest.approx(np.log(29))  # 30 (1 - p) = 1, the slope of the penalty
    twins = l1_logistic(np.ones((30, 2)), np.ones(30), np.ones((1, 30)))[0]
    assert twins.sum() == pytest.approx(np.log(29))


def test_a_strong_penalty_leaves_nothing() -> None:
    features, labels, weights = problem(5, 40, 3)
    assert not l1_logistic(features, labels, 1e-6 * weights[None]).any()


def test_liblinear_stops_near_the_minimum_and_never_warns() -> None:
    features, labels, weights = problem(8, 60, 3)
    near = liblinear(features, labels, weights[None])
    assert near[0] == pytest.approx(exact(features, labels, weights), abs=0.05)
    one_sided = liblinear(features, np.ones(60), weights[None])
    assert one_sided == pytest.approx(l1_logistic(features, np.ones(60), weights[None]))


def test_a_coefficient_does_not_go_to_and_fro_across_zero() -> None:
    """A win and a loss at each place: the answer is 0, and the objective is flat to rounding beside it."""
    features = np.column_stack([np.repeat(np.tanh(np.linspace(-2, 3, 40)), 2), np.ones(80)])
    labels = np.tile([0.0, 1.0], 40)
    for strength in (1e-2, 1.0, 1e3, 1e5):
        start = np.array([[1.8e-4, -1.8e-4]])
        found = l1_logistic(features, labels, np.full((1, 80), strength), start=start)
        assert found == pytest.approx(np.zeros((1, 2)), abs=1e-6)
