"""Equal rows as one: the sums are those of the rows, and a fit to them is the fit to all the rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from farm.statistics.equal_rows import EqualRows
from farm.statistics.logistic import l1_logistic_of_sums


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 3))
def test_sums_are_those_of_the_equal_rows(seed: int, n: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    design = rng.choice([0.0, -0.5, 1.0 / 3], (n, d))
    values, clusters = rng.normal(size=n), rng.integers(0, 4, n)
    rows = EqualRows.of(design)
    assert (rows.features[rows.place] == design).all()
    assert len({tuple(row) for row in rows.features}) == len(rows.features)
    for place, row in enumerate(rows.features):
        equal = (design == row).all(axis=1)
        assert rows.sums(values)[place] == pytest.approx(values[equal].sum())
        by_cluster = rows.by_cluster(values, clusters)
        times = np.arange(1.0, by_cluster.shape[1] + 1)
        weighed = (values * times[clusters])[equal].sum()
        assert (by_cluster @ times)[place] == pytest.approx(weighed)


def test_a_fit_to_the_sums_is_that_of_scikit_learn_to_all_the_rows() -> None:
    rng = np.random.default_rng(0)
    design = np.column_stack([rng.integers(-3, 4, 400) / 3, np.ones(400)])
    labels, weights = rng.choice([0.0, 0.5, 1.0], 400), rng.integers(0, 3, (2, 400)).astype(float)
    rows = EqualRows.of(design)
    assert len(rows.features) == 7
    wins, sums = (np.stack([rows.sums(row) for row in each]) for each in (labels * weights, weights))
    found = l1_logistic_of_sums(rows.features, wins, sums)
    for row, ours in zip(weights, found, strict=True):
        model = LogisticRegression(
            l1_ratio=1, solver="liblinear", fit_intercept=False, tol=1e-12, max_iter=100_000, random_state=0
        )
        doubled = np.concatenate([row * labels, row * (1 - labels)])
        model.fit(np.tile(design, (2, 1)), np.repeat([1, 0], 400), sample_weight=doubled)
        assert ours == pytest.approx(model.coef_[0], abs=1e-6)
