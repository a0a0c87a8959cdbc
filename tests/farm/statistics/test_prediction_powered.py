"""Prediction-powered win rates against ppi-python, and the designs that it does not have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri

from farm.statistics.bounds import share_bounds, share_interval
from farm.statistics.label_budget import label_next, labels_needed
from farm.statistics.prediction_powered import prediction_powered_win_rate

Floats = NDArray[np.float64]
VECTORS = json.loads(
    (Path(__file__).parents[2] / "golden" / "vectors" / "prediction_powered.json").read_text(encoding="utf-8")
)


def pool(case: dict[str, Any]) -> tuple[Floats, Floats]:
    human = np.concatenate([case["human"], np.full(len(case["judge_only"]), np.nan)])
    return human, np.concatenate([case["judge"], case["judge_only"]])


def made_up(n: int, total: int, follows: float = 0.8, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    truth = rng.choice([0.0, 0.5, 1.0], total, p=[0.4, 0.2, 0.4])
    judge = np.where(rng.random(total) < follows, truth, rng.choice([0.0, 1.0], total))
    return np.where(np.arange(total) < n, truth, np.nan), judge


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
@pytest.mark.parametrize(("key", "power"), [("tuned", None), ("0", 0.0), ("1", 1.0)])
def test_equals_ppi_python(case: dict[str, Any], key: str, power: float | None) -> None:
    human, judge = pool(case)
    found = prediction_powered_win_rate(human, judge, power=power)
    assert found.value == pytest.approx(case[key]["value"], abs=1e-12)
    # ppi-python divides by n and takes the normal quantile; here: n - 1, Student's, a least error
    n = len(case["human"])
    factor = np.sqrt(n / (n - 1)) / (2 * ndtri(0.975))
    alone = factor * np.diff(case["alone"])[0]
    error = max(factor * np.diff(case[key]["interval"])[0], alone / np.sqrt(2))
    assert found.standard_error == pytest.approx(error, abs=1e-9)
    assert found.interval == share_interval(found.value, found.standard_error, n)
    labelled = found.human_only
    assert labelled.value is not None
    bounds = share_bounds(labelled.value, alone, n)
    assert bounds is not None
    assert [labelled.low, labelled.high] == pytest.approx(list(bounds), abs=1e-9)


def test_the_interval_by_hand() -> None:
    # 10 labels, 6 wins, a judge that says the same of all pairs: mean .6, error sqrt(.24 / 9) = .163299
    # Wilson with Student's t(9) = 2.262157: per_n = 5.117355 * .0266667 / .24 = .568595
    # centre (.6 + .284297) / 1.568595 = .563752; half sqrt(.568595 * .24 + .080825) / 1.568595 = .297174
    human = [1.0] * 6 + [0.0] * 4 + [np.nan] * 90
    found = prediction_powered_win_rate(human, np.full(100, 0.5))
    assert (found.interval.low, found.interval.high) == pytest.approx((0.266578, 0.860926), abs=2e-5)
    assert found.interval.n == found.n == 10


def test_few_labels_that_all_agree_with_the_judge_give_no_certainty() -> None:
    judge = np.r_[np.ones(600), np.zeros(400)]
    human = np.full(1000, np.nan)
    human[[0, 999]] = judge[[0, 999]]
    with pytest.raises(ValueError, match="10 human labels or more are needed, not 2"):
        prediction_powered_win_rate(human, judge)
    human[[*range(6), *range(600, 604)]] = [1] * 6 + [0] * 4
    human[999] = np.nan
    found = prediction_powered_win_rate(human, judge)
    alone = found.human_only.high - found.human_only.low  # type: ignore[operator]
    assert found.interval.high - found.interval.low > alone / 1.5  # type: ignore[operator]
    assert found.standard_error == pytest.approx(np.sqrt(0.24 / 9) / np.sqrt(2), rel=0.01)


def test_labels_of_one_instruction_show_no_spread() -> None:
    human, judge = made_up(12, 100)
    with pytest.raises(ValueError, match="all 12 human labels are of one instruction"):
        prediction_powered_win_rate(human, judge, np.r_[np.zeros(12), np.arange(88)])


def test_row_order_plays_no_part() -> None:
    human, judge = made_up(40, 200)
    order = np.random.default_rng(1).permutation(200)
    first, second = (prediction_powered_win_rate(human[at], judge[at]) for at in (np.arange(200), order))
    assert second.value == pytest.approx(first.value)
    assert second.standard_error == pytest.approx(first.standard_error)


def test_a_failed_judgement_is_a_tie_and_stays() -> None:
    human, judge = made_up(40, 200)
    judge[[3, 150]] = np.nan
    found = prediction_powered_win_rate(human, judge)
    assert (found.n, found.n_unlabelled, found.n_failed) == (40, 160, 2)
    assert found.value == prediction_powered_win_rate(human, np.nan_to_num(judge, nan=0.5)).value


def test_a_judge_without_opinion_changes_nothing() -> None:
    human, _ = made_up(40, 200)
    found = prediction_powered_win_rate(human, np.full(200, np.nan))
    assert found.power == 0
    assert found.interval == found.human_only
    assert found.effective_labels == 40


def test_all_labelled_is_the_human_mean() -> None:
    human, judge = made_up(80, 80)
    found = prediction_powered_win_rate(human, judge)
    assert found.value == human.mean()
    assert found.interval == found.human_only


def test_no_more_than_twice_the_labels_are_promised() -> None:
    human, _ = made_up(50, 5000)
    truth = np.where(np.isnan(human), made_up(5000, 5000)[0], human)
    found = prediction_powered_win_rate(human, truth)  # a perfect judge
    errors = [found.standard_error, np.nanstd(human, ddof=1) / np.sqrt(50)]
    assert errors[0] == pytest.approx(errors[1] / np.sqrt(2))
    assert found.effective_labels == pytest.approx(100)
    assert labels_needed(0.05, human, truth).gain == pytest.approx(2, rel=0.01)


def test_repeated_pairs_of_an_instruction_are_one() -> None:
    human, judge = made_up(60, 240)
    once = prediction_powered_win_rate(human, judge)
    twice = prediction_powered_win_rate(
        np.repeat(human, 2), np.repeat(judge, 2), np.repeat(np.arange(240), 2), power=once.power
    )
    assert twice.standard_error == pytest.approx(once.standard_error)
    assert twice.value == pytest.approx(once.value)


def test_equal_chances_given_as_such_agree() -> None:
    human, judge = made_up(200, 1000)
    plain = prediction_powered_win_rate(human, judge)
    weighted = prediction_powered_win_rate(human, judge, inclusion=np.full(1000, 0.2))
    assert weighted.value == pytest.approx(plain.value, abs=2e-3)
    assert weighted.standard_error == pytest.approx(plain.standard_error, rel=0.02)
    assert weighted.human_only.value == pytest.approx(plain.human_only.value)


def test_labels_chosen_by_doubt_are_not_biased() -> None:
    truth, judge = made_up(3000, 3000, follows=0.7, seed=2)
    judge = 0.5 + 0.4 * (judge - 0.5) * np.random.default_rng(3).random(3000)
    # people prefer the first output where the judge is in doubt: taken as a fair sample, such labels mislead
    truth = np.where(np.abs(judge - 0.5) < 0.1, 1.0, truth)
    fair, misled = [], []
    for seed in range(60):
        chosen = label_next(judge, 300, uniform=0.3, seed=seed)
        human = np.where(chosen["chosen"], truth, np.nan)
        inclusion = chosen["inclusion"].to_numpy()
        fair.append(prediction_powered_win_rate(human, judge, inclusion=inclusion).value)
        misled.append(np.nanmean(human))
    assert np.mean(fair) == pytest.approx(truth.mean(), abs=0.01)
    assert np.abs(np.mean(fair) - truth.mean()) < np.abs(np.mean(misled) - truth.mean()) + 0.01


@pytest.mark.parametrize(
    ("human", "judge", "message"),
    [
        ([np.nan, 1], [1, 1], "10 human labels or more are needed, not 1"),
        ([1] * 10 + [np.nan], [1, 0] * 5 + [1], "all 10 human labels are 1"),
        ([1, 0], [1, 0, 1], "one of each per pair"),
        ([1, 2, 0], [1, 0, 1], "found 2"),
        ([], [], "10 human labels"),
    ],
)
def test_refusals(human: list[float], judge: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prediction_powered_win_rate(human, judge)


@pytest.mark.parametrize("chances", [[0.5] * 10, [0.5] * 10 + [0.0], [0.5] * 10 + [1.5]])
def test_refused_chances(chances: list[float]) -> None:
    with pytest.raises(ValueError, match="every pair's chance"):
        prediction_powered_win_rate([1, 0] * 5 + [np.nan], [1, 0] * 5 + [1], inclusion=chances)
