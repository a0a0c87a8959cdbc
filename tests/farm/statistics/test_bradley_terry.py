"""Bradley-Terry: by hand, against statsmodels' logit, its errors, and the tables that have no answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from farm.statistics.bradley_terry import bradley_terry
from farm.statistics.ranking import significantly_better


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
    clusters = len(np.unique(groups))
    assert fit.estimates.errors[0, 1:] == pytest.approx(
        expected.bse * np.sqrt(clusters / (clusters - 1)), rel=1e-5
    )


def test_exchanging_the_sides_changes_nothing() -> None:
    frame = random_games(1)
    swapped = frame.assign(first=frame["second"], second=frame["first"], preference=1 - frame["preference"])
    one, other = (bradley_terry(rows, instruction="instruction") for rows in (frame, swapped))
    assert one.estimates.values == pytest.approx(other.estimates.values, abs=1e-9)
    assert one.estimates.errors == pytest.approx(other.estimates.errors, abs=1e-9)


def test_rows_in_another_order_give_the_same() -> None:
    frame = random_games(2)
    one, other = (
        bradley_terry(rows, instruction="instruction")
        for rows in (frame, frame.sample(frac=1, random_state=1))
    )
    assert one.estimates.values == pytest.approx(other.estimates.values, abs=1e-12)
    assert one.estimates.errors == pytest.approx(other.estimates.errors, abs=1e-12)
    assert one.errors == pytest.approx(other.errors, abs=1e-12)


def test_a_judge_that_follows_the_place_knows_no_strength_for_certain() -> None:
    """Both orders of each pair of three models, on 20 instructions: every score is 0, so is the sandwich.

    By hand, for a difference: 40 games of each of 3 pairs, half of them won, information 10 a pair. With
    H = 10 (3 I - 1 1'), H^-1 x is x / 30 for x that sums to 0. A game between a and b moves a - b by 2 / 30,
    one of a or b with c by 1 / 30: 20 wins of each sum to 20 (2 + 1 + 1) / 30. A share of 1 - .05^(1/20) of
    them may have been losses.
    """
    rows = [(a, b, float(won), i) for i in range(20) for a, b in ("ab", "bc", "ac") for won in (1, 0)]
    fit = bradley_terry(pd.DataFrame(rows, columns=["first", "second", "preference", "i"]), instruction="i")
    found = fit.difference("a", "b")
    reach = 80 / 30 * (1 - 0.05 ** (1 / 20))
    assert found.low == pytest.approx(-reach)
    assert found.high == pytest.approx(reach)
    interval = fit.interval("c")
    assert interval.low is not None
    assert interval.high is not None
    assert interval.high - interval.low > 0.3


def test_three_instructions_that_say_the_same_do_not_rank_models() -> None:
    rows = [
        ("a", "b", 1.0),
        ("b", "c", 1.0),
        ("a", "c", 1.0),
        ("a", "c", 1.0),
        ("b", "a", 1.0),
        ("c", "a", 1.0),
    ]
    frame = pd.DataFrame([(*row, i) for i in range(3) for row in rows], columns=["first", "second", "p", "i"])
    fit = bradley_terry(frame, preference="p", instruction="i")
    assert fit.estimates.values[0] > fit.estimates.values[2] + 0.5
    assert not significantly_better(fit.estimates).any()
    for model in "abc":
        found = fit.interval(model)
        assert found.low is not None
        assert found.low < -0.5


def test_a_model_of_one_instruction_has_no_bounds_and_no_place() -> None:
    rows = [("a", "b", float(i % 3 > 0), i) for i in range(60)] + [("c", "a", 1.0, 0), ("c", "a", 0.0, 0)]
    frame = pd.DataFrame(rows, columns=["first", "second", "preference", "i"])
    fit = bradley_terry(frame, instruction="i")
    assert (fit.interval("c").low, fit.interval("c").n) == (None, 1)
    assert fit.difference("c", "b").low is None
    better = significantly_better(fit.estimates)
    assert better[0, 1]
    assert not better[:, 2].any()
    assert not better[2].any()


def test_all_ties_are_even() -> None:
    fit = bradley_terry(games(("a", "b", 0.5), ("b", "c", 0.5), ("c", "a", 0.5)))
    assert fit.estimates.values == pytest.approx([0, 0, 0], abs=1e-12)


def test_failures_are_counted() -> None:
    fit = bradley_terry(games(("a", "b", 1), ("a", "b", 0), ("a", "b", float("nan"))))
    assert (fit.n, fit.n_failed, fit.estimates.n.tolist()) == (2, 1, [2, 2])


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
