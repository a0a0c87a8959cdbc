"""Bradley-Terry: by hand, against statsmodels' logit, its errors, and the tables that have no answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from farm.statistics.bradley_terry import bradley_terry


def games(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["first", "second", "preference"])


def random_games(seed: int, n: int = 300, models: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    strength = np.linspace(-1, 1, models)
    first = rng.integers(0, models, n)
    second = (first + rng.integers(1, models, n)) % models
    won = (rng.random(n) < expit(strength[first] - strength[second])).astype(float)
    won[rng.random(n) < 0.2] = 0.5
    names = np.array([f"m{place}" for place in range(models)])
    columns = {"first": names[first], "second": names[second], "preference": won}
    return pd.DataFrame(columns | {"instruction": rng.integers(0, n // 3, n)})


def test_two_models_by_hand() -> None:
    # 3 wins and a tie in 4 games: 3.5 of 4 is a log-odds of log 7, so the strengths are +- log(7) / 2
    fit = bradley_terry(games(("a", "b", 1), ("b", "a", 0), ("a", "b", 1), ("a", "b", 0.5)))
    assert fit.estimates.models == ("a", "b")
    assert fit.estimates.values == pytest.approx([np.log(7) / 2, -np.log(7) / 2])
    assert fit.difference("a", "b").value == pytest.approx(np.log(7))
    assert fit.win_probability("a", "b") == pytest.approx(3.5 / 4)
    # information 4 (7/8)(1/8) = 7/16; scores 1/8, 1/8, 1/8, -3/8: squares 12/64; times 4/3 -> 1/4
    # variance (1/4) / (7/16)^2 = 64/49, so the error of the difference is 8/7
    low = fit.difference("a", "b").low
    assert low is not None
    assert (np.log(7) - low) / 3.1824463 == pytest.approx(8 / 7, abs=1e-6)  # t(3)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_equals_the_logit_model(seed: int) -> None:
    frame = random_games(seed)
    fit = bradley_terry(frame, instruction="instruction")
    names = list(fit.estimates.models)
    design = np.zeros((len(frame), len(names)))
    design[np.arange(len(frame)), [names.index(name) for name in frame["first"]]] += 1
    design[np.arange(len(frame)), [names.index(name) for name in frame["second"]]] -= 1
    groups = pd.factorize(frame["instruction"])[0]
    model = sm.GLM(frame["preference"].to_numpy(), design[:, 1:], family=sm.families.Binomial())
    expected = model.fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False})
    strengths = np.concatenate([[0], expected.params])
    assert fit.estimates.values == pytest.approx(strengths - strengths.mean(), abs=1e-7)
    ours = np.sqrt(
        fit.estimates.covariance[0, 0]
        + np.diag(fit.estimates.covariance)[1:]
        - 2 * fit.estimates.covariance[0, 1:]
    )
    clusters = len(np.unique(groups))
    assert ours == pytest.approx(expected.bse * np.sqrt(clusters / (clusters - 1)), rel=1e-5)


def test_exchanging_the_sides_changes_nothing() -> None:
    frame = random_games(1)
    swapped = frame.assign(first=frame["second"], second=frame["first"], preference=1 - frame["preference"])
    one, other = (bradley_terry(rows, instruction="instruction") for rows in (frame, swapped))
    assert one.estimates.values == pytest.approx(other.estimates.values, abs=1e-9)
    assert one.estimates.covariance == pytest.approx(other.estimates.covariance, abs=1e-9)


def test_the_bootstrap_agrees_with_the_sandwich() -> None:
    frame = random_games(2, n=900)
    fit = bradley_terry(frame, instruction="instruction", draws=1000, seed=3)
    assert fit.draws.shape == (1000, 5)
    assert np.std(fit.draws[:, 0] - fit.draws[:, 4]) == pytest.approx(_error(fit, "m0", "m4"), rel=0.1)
    again = bradley_terry(frame, instruction="instruction", draws=1000, seed=3)
    assert np.array_equal(again.draws, fit.draws)
    assert fit.bootstrap_interval("m2").low is not None
    assert bradley_terry(frame).bootstrap_difference("m0", "m1").low is None


def _error(fit: Any, first: str, second: str) -> float:
    i, j = fit.estimates.models.index(first), fit.estimates.models.index(second)
    covariance = fit.estimates.covariance
    return float(np.sqrt(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j]))


def test_the_bootstrap_keeps_a_weak_connection() -> None:
    # b's only win is one game in 30: resampled games would often miss it, weighted ones never do
    rows = [("a", "b", 1.0)] * 29 + [("b", "a", 1.0)]
    fit = bradley_terry(games(*rows), draws=200)
    assert np.isfinite(fit.draws).all()


def test_all_ties_are_even() -> None:
    fit = bradley_terry(games(("a", "b", 0.5), ("b", "c", 0.5), ("c", "a", 0.5)))
    assert fit.estimates.values == pytest.approx([0, 0, 0], abs=1e-12)


def test_failures_are_counted() -> None:
    fit = bradley_terry(games(("a", "b", 1), ("a", "b", 0), ("a", "b", float("nan"))))
    assert (fit.n, fit.n_failed, fit.n_instructions) == (2, 1, 2)


def test_one_instruction_has_no_interval() -> None:
    frame = games(("a", "b", 1), ("a", "b", 0)).assign(instruction="x")
    assert bradley_terry(frame, instruction="instruction").difference("a", "b").low is None


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (games(), "needs two models with judged pairs, not 0"),
        (games(("a", "b", float("nan"))), "needs two models with judged pairs, not 0"),
        (games(("a", "a", 1)), "needs two models"),
        (games(("a", "a", 1), ("a", "b", 1)), "'a' is paired with itself"),
        (games(("a", "b", 1), ("b", "a", 1), ("c", "d", 0.5)), "2 groups of models never meet.*: a, b; c, d"),
        (games(("a", "b", 1), ("a", "c", 1), ("b", "c", 0.5)), "a strength is infinite.*2 groups"),
        (games(("a", "b", 1), ("b", "c", 1), ("a", "c", 1)), "3 groups"),
        (games(("a", "b", 1.5)), "found 1.5"),
    ],
)
def test_refusals(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bradley_terry(frame)


def test_an_unknown_model_is_named() -> None:
    fit = bradley_terry(games(("a", "b", 1), ("b", "a", 1)))
    with pytest.raises(ValueError, match="no model 'z' here; there are a, b"):
        fit.difference("a", "z")
