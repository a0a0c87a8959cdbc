"""Rank correlations against scipy, their bootstraps, and groups of models that cannot be told apart."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

from farm.statistics.ranking import (
    CorrelationKind,
    clusters,
    levels,
    rank_correlation,
    rank_ranges,
    significantly_better,
)
from farm.statistics.win_rates import Estimates, win_rate_estimates
from tests.support.judged_models import long


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=30))
def test_equals_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = (
        pd.Series(side, index=[f"m{place}" for place in range(len(side))], dtype=float)
        for side in zip(*pairs, strict=True)
    )
    if x.nunique() == 1 or y.nunique() == 1:
        return
    assert rank_correlation(x, y, draws=2).value == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    found = rank_correlation(x, y, "kendall", draws=2).value
    assert found == pytest.approx(kendalltau(x, y).statistic, abs=1e-12)


COUNTS = st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=3, max_size=8)


@settings(deadline=None)
@given(COUNTS, COUNTS, st.randoms(use_true_random=False), st.sampled_from([5, 7, 10]))
def test_tied_means_are_ties_whatever_the_order_of_addition(
    first: list[list[int]], second: list[list[int]], random: Any, judged: int
) -> None:
    """Models won so many of `judged` games on each of 4 instructions: their exact means, ranked by scipy."""
    models = range(min(len(first), len(second)))
    means = [
        [sum(Fraction(won, judged) for won in side[model]) / 4 for model in models]
        for side in (first, second)
    ]
    frames = []
    for side in (first, second):
        games = [
            (instruction, f"m{model}", float(game < won))
            for model in models
            for instruction, won in enumerate(side[model])
            for game in range(judged)
        ]
        random.shuffle(games)
        rows = pd.DataFrame(games, columns=["instruction", "model", "preference"])
        table = rows.groupby(["instruction", "model"], sort=False)["preference"].mean().unstack()
        frames.append(table.sample(frac=1, random_state=random.randrange(99)))
    one, other = frames
    if any(len(set(side)) == 1 for side in means):
        with pytest.raises(ValueError, match="ties all"):
            rank_correlation(one, other, draws=2)
        return
    # ranks of exact fractions; scipy would turn the fractions themselves into floats
    x, y = ([sorted(set(side)).index(mean) for mean in side] for side in means)
    for method, expected in {"spearman": spearmanr(x, y), "kendall": kendalltau(x, y)}.items():
        found = rank_correlation(one, other, cast(CorrelationKind, method), draws=2)
        assert found.value == pytest.approx(expected.statistic, abs=1e-12)


def test_scores_that_differ_by_more_than_rounding_are_no_ties() -> None:
    assert levels(np.array([[0.1 + 0.2, 0.3, 0.3 + 1e-9, 0.0]])).tolist() == [[1, 1, 2, 0]]
    assert levels(np.array([[1e3, 1e3 + 1e-9, -1e3]])).tolist() == [[1, 1, 0]]
    assert np.isnan(levels(np.array([[np.nan, 1.0]]))).all()


def preferences(seed: int, models: int = 8, instructions: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    chance = np.linspace(0.2, 0.8, models)
    verdicts = (rng.random((instructions, models)) < chance).astype(float)
    return pd.DataFrame(verdicts, columns=[f"m{place}" for place in range(models)])


def test_models_are_matched_by_name() -> None:
    x = pd.Series({"a": 1.0, "b": 2.0, "c": 3.0, "d": np.nan, "only": 9.0})
    y = pd.Series({"c": 30.0, "a": 10.0, "b": 20.0, "d": 5.0})
    found = rank_correlation(x, y)
    assert (found.value, found.n_models) == (1.0, 3)
    assert found.over_instructions is None


@pytest.mark.parametrize("method", ["spearman", "kendall"])
def test_two_intervals_and_what_they_rest_on(method: Any) -> None:
    first, second = preferences(0), preferences(1)
    found = rank_correlation(first, second, method, draws=400)
    assert found.over_models.n == 8
    assert found.over_instructions is not None
    assert found.over_instructions.n == 60
    assert found.over_instructions.low < found.value  # type: ignore[operator]
    assert rank_correlation(first, second, method, draws=400) == found
    # more instructions, a narrower interval
    more = rank_correlation(
        preferences(2, instructions=300), preferences(3, instructions=300), method, draws=400
    )
    width = [i.high - i.low for i in (more.over_instructions, found.over_instructions)]  # type: ignore[union-attr, operator]
    assert width[0] < width[1]


def test_rankings_that_show_nothing_of_others_have_no_bounds() -> None:
    """Three models agree by chance once in six; a perfect correlation is perfect in each draw."""
    for models, n in ((3, 60), (4, 60), (8, 49), (8, 50)):
        first, second = np.random.default_rng(5).random((2, n, models))
        found = rank_correlation(pd.DataFrame(first), pd.DataFrame(second), draws=200)
        assert found.over_instructions is not None
        assert (found.over_models.low is None) == (models < 5)
        assert (found.over_instructions.low is None) == (n < 50)
    same = pd.Series(np.arange(9.0), list("abcdefghi"))
    assert rank_correlation(same, same).over_models.low is None


def test_fewer_than_ten_models_with_ties_have_no_bounds() -> None:
    for models, tied, bounded in ((9, True, False), (10, True, True), (9, False, True)):
        first = pd.Series(range(models), dtype=float)
        second = first.sample(frac=1, random_state=1).reset_index(drop=True)
        if tied:
            second[0] = second[1]
        over_models = rank_correlation(first, second).over_models
        assert (over_models.low is not None) == bounded


def test_bounds_over_instructions_reach_as_far_from_0_as_towards_it() -> None:
    """Noise pulls a rank correlation towards 0, and resampling pulls again; the truth lies beyond it."""
    first, second = preferences(6), preferences(7)
    found = rank_correlation(first, second, draws=400)
    over = found.over_instructions
    assert over is not None
    assert over.low is not None
    assert over.high == pytest.approx(min(1.0, 2 * found.value - over.low))
    turned = rank_correlation(first, 1 - second, draws=400).over_instructions
    assert turned is not None
    assert turned.low == pytest.approx(-(over.high or 0))
    assert turned.high == pytest.approx(-over.low)


def test_only_shared_instructions_count() -> None:
    first, second = preferences(4), preferences(5)
    part = rank_correlation(first, second.iloc[30:], draws=10)
    assert part.value == rank_correlation(first.iloc[30:], second.iloc[30:], draws=10).value
    assert part.over_instructions is not None
    assert part.over_instructions.n == 30


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            pd.Series({"a": 1.0, "b": 2.0}),
            pd.Series({"a": 1.0, "b": 2.0}),
            "three common models; there are 2",
        ),
        (pd.Series({"a": 1.0}), pd.Series({"a": 1.0}), "there are 1"),
        (pd.Series(1.0, list("abc")), pd.Series([1.0, 2, 3], list("abc")), "first evaluator ties all 3"),
        (pd.Series([1.0, 2, 3], list("abb")), pd.Series([1.0, 2, 3], list("abc")), "stands twice"),
        (preferences(0), preferences(1).set_index(np.arange(100, 160)), "there are 0"),
        (
            preferences(0).iloc[:1],
            pd.Series(np.arange(8.0), [f"m{place}" for place in range(8)]),
            "there are 1",
        ),
    ],
)
def test_refusals(first: Any, second: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rank_correlation(first, second)


def estimates(values: list[float], error: float) -> Estimates:
    names = tuple("abcdefgh"[: len(values)])
    count = len(values)
    return Estimates(names, np.array(values), np.full((count, count), error), np.full(count, 10_000))


def test_groups_of_models_by_hand() -> None:
    # errors of differences are 1: a and b stand 9 above the rest; c to d 2, d to e 2, c to e 4 (p = 6e-5)
    found = clusters(estimates([11, 13, 2, 0, -2], 1))
    assert found == [("b", "a"), ("c", "d", "e")]
    ranges = {
        place.model: (place.best, place.worst) for place in rank_ranges(estimates([11, 13, 2, 0, -2], 1))
    }
    assert ranges == {"b": (1, 2), "a": (1, 2), "c": (3, 4), "d": (3, 5), "e": (4, 5)}


def test_one_model() -> None:
    assert clusters(estimates([1], 1)) == [("a",)]
    assert [(place.best, place.worst) for place in rank_ranges(estimates([1], 1))] == [(1, 1)]


@settings(deadline=None, max_examples=10)
@given(st.lists(st.floats(-4, 4), min_size=2, max_size=7))
def test_holm_equals_statsmodels(values: list[float]) -> None:
    found = significantly_better(estimates(values, 1))
    upper = np.triu_indices(len(values), 1)
    gaps = np.abs(np.subtract.outer(values, values))[upper]
    expected = multipletests(2 * student.sf(gaps, 9_999), alpha=0.05, method="holm")[0]
    assert ((found | found.T)[upper] == expected).all()


def test_shared_instructions_tell_close_models_apart() -> None:
    rng = np.random.default_rng(6)
    ease = rng.random(400)
    table = pd.DataFrame(
        {"better": (ease < 0.62), "worse": (ease < 0.55)}, dtype=float
    )  # never the other way
    assert clusters(win_rate_estimates(long(table))) == [("better",), ("worse",)]
    apart = table.assign(worse=table["worse"].sample(frac=1, random_state=0).to_numpy())
    assert clusters(win_rate_estimates(long(apart))) == [("better", "worse")]
