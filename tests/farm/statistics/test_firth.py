"""Firth's logistic regression by hand, against a general optimiser, and where labels separate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from farm.statistics.firth import firth_logistic


@pytest.mark.parametrize(("wins", "losses"), [((7, 2), (3, 8)), ((10, 4), (0, 6)), ((5, 0), (0, 5))])
def test_two_groups_have_one_half_added_to_each_count(wins: tuple[int, int], losses: tuple[int, int]) -> None:
    group = np.repeat([0.0, 1.0], np.add(wins, losses))
    labels = np.concatenate([np.repeat([1.0, 0.0], each) for each in zip(wins, losses, strict=True)])
    fit = firth_logistic(np.column_stack([1 - group, group]), labels, np.ones(len(labels)))
    expected = [np.log((won + 0.5) / (lost + 0.5)) for won, lost in zip(wins, losses, strict=True)]
    assert fit.coefficients == pytest.approx(expected, abs=1e-7)
    shares = expit(np.array(expected))
    assert np.diag(fit.inverse) == pytest.approx(1 / (np.add(wins, losses) * shares * (1 - shares)), rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_maximum_of_the_penalised_likelihood(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=(40, 2)), np.ones(40)])
    labels, weights = rng.beta(1, 1, 40), rng.uniform(0, 2, 40)

    def loss(w: np.ndarray) -> float:
        chance = expit(x @ w)
        information = x.T @ np.diag(weights * chance * (1 - chance)) @ x
        told = weights @ (labels * np.log(chance) + (1 - labels) * np.log(1 - chance))
        return float(-told - np.log(np.linalg.det(information)) / 2)

    fit = firth_logistic(x, labels, weights)
    best = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12})
    assert fit.coefficients == pytest.approx(best.x, abs=1e-5)


def test_labels_that_a_feature_separates_have_a_finite_fit() -> None:
    x = np.column_stack([np.linspace(-1, 1, 20), np.ones(20)])
    fit = firth_logistic(x, (x[:, 0] > 0.9).astype(float), np.ones(20))
    assert 1 < fit.coefficients[0] < 20
    assert np.isfinite(fit.inverse).all()


def test_a_weight_of_two_is_two_rows_and_of_none_is_no_row() -> None:
    rng = np.random.default_rng(4)
    x, labels = np.column_stack([rng.normal(size=30), np.ones(30)]), rng.integers(0, 2, 30).astype(float)
    weights = rng.integers(0, 3, 30)
    found = firth_logistic(x, labels, weights.astype(float))
    rows = firth_logistic(np.repeat(x, weights, 0), np.repeat(labels, weights), np.ones(weights.sum()))
    assert found.coefficients == pytest.approx(rows.coefficients, abs=1e-7)


def test_columns_that_depend_on_each_other_predict_as_without() -> None:
    rng = np.random.default_rng(5)
    x, labels = np.column_stack([rng.normal(size=30), np.ones(30)]), rng.integers(0, 2, 30).astype(float)
    bare = firth_logistic(x, labels, np.ones(30))
    more = np.column_stack([x, 3 * x[:, 1], np.zeros(30)])
    found = firth_logistic(more, labels, np.ones(30))
    assert more @ found.coefficients == pytest.approx(x @ bare.coefficients, abs=1e-7)
    assert more @ found.inverse @ more.T == pytest.approx(x @ bare.inverse @ x.T, abs=1e-7)
