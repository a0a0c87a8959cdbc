"""Win rates: the textbook cases, clusters, replicates, pairs, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from farm.statistics.ranking import significantly_better
from farm.statistics.win_rates import (
    win_rate,
    win_rate_difference,
    win_rate_estimates,
    win_rates,
)
from tests.support.judged_models import long

preferences = st.lists(st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1), min_size=1, max_size=40)


def test_by_hand() -> None:
    # 2 wins, 1 tie, 1 loss of value 0, 1 failure: mean (1 + 1 + .5 + 0) / 4 = .625
    # squared deviations .140625 * 2 + .015625 + .390625 = .6875; / 3 = .2291667; / 4 -> se .2393568
    found = win_rate([1, 1, 0.5, 0, np.nan])
    assert found.value == 0.625
    assert found.standard_error == pytest.approx(0.2393568, abs=1e-7)
    assert (found.n, found.n_failed, found.n_wins, found.n_draws, found.n_losses) == (4, 1, 2, 1, 1)
    assert found.discrete == 0.625
    assert found.interval.n == 4


@given(preferences, st.integers(0, 3))
def test_counts_add_up_and_swapping_mirrors(values: list[float], failed: int) -> None:
    rows = [*values, *[float("nan")] * failed]
    found, swapped = win_rate(rows), win_rate([1 - value for value in rows])
    assert found.n + found.n_failed == len(rows)
    assert found.n_wins + found.n_losses + found.n_draws == found.n
    assert swapped.value == pytest.approx(1 - found.value)
    if found.n > 1:
        assert found.interval.low is not None
        assert found.interval.high is not None
        assert found.interval.low <= found.value + 1e-12
        assert found.value - 1e-12 <= found.interval.high
        assert swapped.interval.low == pytest.approx(1 - found.interval.high, abs=1e-9)


def test_wins_and_losses_give_the_wilson_interval() -> None:
    wins, n = 140, 1000
    low, high = proportion_confint(wins, n, method="wilson")
    found = win_rate(np.arange(n) < wins).interval
    # ours has Student's quantile on 999 degrees and n - 1 in the variance: 0.2 % wider at most
    assert found.low == pytest.approx(low, abs=1e-4)
    assert found.high == pytest.approx(high, abs=1e-4)


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [(0.0, 0.0, 1 - 0.05**0.1), (1.0, 0.05**0.1, 1.0), (0.5, 0.5 * 0.05**0.1, 1 - 0.5 * 0.05**0.1)],
)
def test_all_the_same_follow_the_rule_of_three(value: float, low: float, high: float) -> None:
    found = win_rate([value] * 10)
    assert found.standard_error == 0
    assert found.interval.low == pytest.approx(low)
    assert found.interval.high == pytest.approx(high)


def test_one_instruction_has_a_value_and_no_error() -> None:
    found = win_rate([1, 0, 1], instructions=["a", "a", "a"])
    assert found.value == pytest.approx(2 / 3)
    assert np.isnan(found.standard_error)
    assert found.interval.low is None
    assert found.interval.high is None
    assert found.interval.n == 1


def test_repeating_every_judgement_changes_no_error() -> None:
    rng = np.random.default_rng(0)
    values = rng.choice([0, 0.5, 1], 60)
    once = win_rate(values)
    thrice = win_rate(np.tile(values, 3), instructions=np.tile(np.arange(60), 3))
    assert thrice.standard_error == pytest.approx(once.standard_error)
    assert thrice.interval.low == pytest.approx(once.interval.low)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.integers(1, 4)), min_size=2, max_size=12))
def test_the_judgements_of_one_vote_weigh_one_together(votes: list[tuple[float, int]]) -> None:
    """Repeating some of them moves no figure but the counts."""
    values, times = np.array([value for value, _ in votes]), [count for _, count in votes]
    cluster = np.arange(len(votes)) // 2
    once = win_rate(values, cluster)
    rows = np.repeat(np.arange(len(votes)), times)
    many = win_rate(values[rows], cluster[rows], votes=rows)
    assert many.value == pytest.approx(once.value, abs=1e-12)
    assert many.discrete == pytest.approx(once.discrete, abs=1e-12)
    assert many.interval.low == pytest.approx(once.interval.low, abs=1e-9)
    assert many.interval.high == pytest.approx(once.interval.high, abs=1e-9)
    np.testing.assert_allclose(many.standard_error, once.standard_error, atol=1e-12)
    assert many.n == sum(times)


def test_a_vote_is_the_mean_of_its_judgements_that_succeeded() -> None:
    # votes: (1 + 0) / 2, 1, 0; the fourth judgement of the third vote failed
    rows, votes = [1, 0, 1, 0, np.nan, 0], ["a", "a", "b", "c", "c", "c"]
    found = win_rate(rows, votes, pairs=votes, votes=votes)
    assert found.value == pytest.approx(0.5)
    assert found.standard_error == pytest.approx(np.std([0.5, 1, 0], ddof=1) / np.sqrt(3))
    # the draws of vote a have the variance .5, those of c 0, and b the mean .25: weights .5, .5; 1; .5, .5
    assert found.annotator_error == pytest.approx(np.sqrt(0.5 * 0.5 + 0.25 + 0.5 * 0) / 3)
    assert (found.n, found.n_failed, found.n_wins, found.n_losses) == (5, 1, 2, 3)


def test_the_annotators_part_of_the_error() -> None:
    # pairs judged twice: {1, 0} has variance .5, {1, 1} has 0, so the pair judged once is given .25
    # sqrt(2 * .5 + 2 * 0 + 1 * .25) / 5 = .2236
    values, pairs = [1, 0, 1, 1, 0], ["p", "p", "q", "q", "r"]
    assert win_rate(values, pairs, pairs).annotator_error == pytest.approx(np.sqrt(1.25) / 5)
    assert np.isnan(win_rate(values).annotator_error)


def test_annotator_error_is_what_judging_again_shows() -> None:
    rng = np.random.default_rng(1)
    chance = rng.beta(1, 1, 300)
    runs = [(rng.random((300, 2)) < chance[:, None]).astype(float) for _ in range(400)]
    pairs = np.repeat(np.arange(300), 2)
    told = np.mean([win_rate(run.ravel(), pairs, pairs).annotator_error for run in runs])
    assert told == pytest.approx(np.std([run.mean() for run in runs]), rel=0.1)


def test_missing_rows_of_the_evaluation_set_count_as_failed() -> None:
    frame = pd.DataFrame(
        {"model": ["a", "a", "b"], "instruction": ["x", "y", "x"], "preference": [1.0, np.nan, 0.0]}
    )
    found = win_rates(frame, evaluation_set=["x", "y", "z"])
    assert {name: (rate.n, rate.n_failed) for name, rate in found.items()} == {"a": (1, 2), "b": (1, 2)}


def test_a_paired_difference_by_hand() -> None:
    # judged by both: x (1 - 0), y (.5 - .5), z (1 - .5); w failed for one, v is unknown to the other
    first = pd.Series({"x": 1.0, "y": 0.5, "z": 1.0, "w": np.nan})
    second = pd.Series({"z": 0.5, "y": 0.5, "x": 0.0, "w": 1.0, "v": 1.0})
    found = win_rate_difference(first, second)
    assert found.interval.value == pytest.approx(0.5)
    assert found.standard_error == pytest.approx(0.5 / np.sqrt(3))  # of 1, 0, .5: sd .5
    assert (found.n, found.n_failed) == (3, 2)
    assert win_rate_difference(second, first).interval.high == pytest.approx(-(found.interval.low or 0))


def test_the_covariance_gives_the_paired_error() -> None:
    rng = np.random.default_rng(2)
    table = pd.DataFrame(rng.choice([0, 0.5, 1], (80, 3)), columns=list("abc"))
    table["b"] = np.where(rng.random(80) < 0.7, table["a"], table["b"])
    estimates = win_rate_estimates(long(table))
    paired = win_rate_difference(table["a"], table["b"])
    assert estimates.errors[0, 1] == estimates.errors[1, 0] == pytest.approx(paired.standard_error)
    assert estimates.n.tolist() == [80, 80, 80]


def test_models_judged_on_different_instructions() -> None:
    table = pd.DataFrame({"a": [1, 0, 1, np.nan, np.nan], "b": [np.nan, np.nan, np.nan, 1, 0.5]})
    estimates = win_rate_estimates(long(table))
    assert estimates.values == pytest.approx([2 / 3, 0.75])
    errors = [win_rate(table[model].dropna()).standard_error for model in "ab"]
    assert estimates.errors[0, 1] == pytest.approx(math.hypot(*errors))
    assert estimates.shared().tolist() == [[3, 2], [2, 2]]


def test_estimates_are_the_win_rates_that_are_shown_though_counts_differ() -> None:
    """Six instructions were judged up to nine times: one mean and one error for the rate and for its rank."""
    rng = np.random.default_rng(4)
    rows = pd.DataFrame(
        {"model": "a", "instruction": np.repeat(np.arange(12), [9, 5, 3, 1, 1, 1] * 2)}
    ).assign(preference=lambda rows: rng.choice([0, 0.5, 1], len(rows)))
    other = pd.DataFrame({"model": "b", "instruction": np.arange(30, 50), "preference": rng.random(20)})
    both = pd.concat([rows, other])
    estimates, shown = win_rate_estimates(both), win_rates(both)
    assert estimates.values == pytest.approx([shown[model].value for model in "ab"], abs=1e-12)
    errors = [shown[model].standard_error for model in "ab"]
    assert estimates.errors[0, 1] == pytest.approx(math.hypot(*errors), abs=1e-12)


@pytest.mark.parametrize(("n", "apart"), [(2, False), (4, False), (5, True), (30, True)])
def test_a_difference_that_is_the_same_everywhere_follows_the_rule_of_three(n: int, apart: bool) -> None:
    """One model always wins and the other loses, or they are half a step apart on changing instructions."""
    table = pd.DataFrame({"a": [1.0] * n, "b": [0.0] * n})
    errors = win_rate_estimates(long(table)).errors
    reach = 2 * (1 - 0.05 ** (1 / n))  # from 1 towards -1
    assert errors[0, 1] * student.ppf(0.975, n - 1) == pytest.approx(reach)
    assert bool(significantly_better(win_rate_estimates(long(table)))[0, 1]) == apart
    low = win_rate_difference(table["a"], table["b"]).interval.low
    assert low == pytest.approx(1 - reach)
    changing = pd.DataFrame({"a": np.arange(n) % 2 / 2 + 0.5, "b": np.arange(n) % 2 / 2})
    assert win_rate_estimates(long(changing)).errors[0, 1] == pytest.approx(errors[0, 1] * 1.5 / 2)


def test_a_model_that_always_wins_on_few_instructions_is_uncertain_beside_others() -> None:
    table = pd.DataFrame({"a": [1.0, 1.0] + [np.nan] * 198, "b": [0.0, 1.0] * 100})
    assert not significantly_better(win_rate_estimates(long(table))).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: win_rate([]), "none of the 0 judgements"),
        (lambda: win_rate([np.nan, np.nan]), "none of the 2 judgements"),
        (lambda: win_rate([1, 2]), "found 2"),
        (lambda: win_rate([-1.0]), "found -1"),
        (lambda: win_rate([1, 0], ["a"]), "every one of the 2 judgements needs a label"),
        (lambda: win_rate([1, 0], np.array(["a", None])), "needs a label"),
        (lambda: win_rate_difference(pd.Series({"x": 1.0}), pd.Series({"y": 1.0})), "share no judged"),
        (lambda: win_rate_difference(pd.Series([1.0, 0], ["x", "x"]), pd.Series({"x": 1.0})), "several rows"),
        (
            lambda: win_rate_estimates(long(pd.DataFrame({"a": [1.0, 0], "b": [1.0, np.nan]}))),
            "instructions for b",
        ),
    ],
)
def test_refusals(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("named", "missing"), [({}, "preference"), ({"preference": "vote", "pair": "p"}, "p")]
)
def test_a_missing_column_is_named(named: dict[str, str], missing: str) -> None:
    frame = pd.DataFrame({"model": ["a"], "instruction": ["x"], "vote": [1.0]})
    with pytest.raises(ValueError, match=f"no column '{missing}', only model, instruction, vote"):
        win_rates(frame, **named)
