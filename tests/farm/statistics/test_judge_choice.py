"""Which judges to buy: known judges, prices and budgets, and noise that looks good by chance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from farm.statistics.judge_choice import ChosenJudges, choose_judges

Floats = NDArray[np.float64]


def crowd(seed: int, n: int, right: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Labels (n,) and the verdicts (n, J) of judges that are right so often, each less its mean."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < 0.5).astype(float)
    same = rng.random((n, len(right))) < np.array(right)
    verdicts = np.where(same, truth[:, None], 1 - truth[:, None])
    return truth - truth.mean(), verdicts - verdicts.mean(axis=0)


def chosen(
    labels: Floats,
    verdicts: Floats,
    prices: tuple[float, ...],
    *,
    budget: float = np.inf,
    label_bill: float | None = None,
) -> ChosenJudges:
    return choose_judges(
        labels, verdicts, np.arange(len(labels)), np.array(prices), budget=budget, label_bill=label_bill
    )


def test_the_judge_that_follows_people_is_bought_and_noise_is_not() -> None:
    labels, verdicts = crowd(1, 300, (0.5, 0.8, 0.5))
    found = chosen(labels, verdicts, (1, 1, 1))
    assert found.members == (1,)
    [one, two, *_] = found.looked_at
    assert one.explained == pytest.approx(np.corrcoef(labels, verdicts[:, 1])[0, 1] ** 2)
    assert one.better == 1
    assert two.better < 0.9
    assert not two.taken


def test_two_judges_that_err_apart_are_better_than_one() -> None:
    labels, verdicts = crowd(2, 400, (0.75, 0.75))
    found = chosen(labels, verdicts, (1, 1))
    assert found.members == (0, 1)
    mean = verdicts.mean(axis=1)
    assert found.looked_at[1].explained == pytest.approx(np.corrcoef(labels, mean)[0, 1] ** 2)


def test_a_budget_and_prices_decide() -> None:
    labels, verdicts = crowd(3, 400, (0.85, 0.75, 0.75))
    assert chosen(labels, verdicts, (50, 5, 5), budget=40).members == (1, 2)
    assert chosen(labels, verdicts, (50, 45, 45), budget=40).members == ()
    assert chosen(labels, verdicts, (50, 0, 0), label_bill=1.0).members in {(1, 2), (1,), (2,)}
    twins = np.column_stack([verdicts[:, 0], verdicts[:, 0]])
    assert chosen(labels, twins, (9, 3)).members == (1,)


def test_no_label_is_saved_beyond_the_half() -> None:
    """A judge that is right on 95 % saves as much as one on 87 %: the cheap one is bought."""
    labels, verdicts = crowd(4, 400, (0.95, 0.88))
    assert chosen(labels, verdicts, (90, 1)).members == (1,)


def test_judges_that_know_nothing_are_seldom_bought() -> None:
    bought = sum(bool(chosen(*crowd(seed, 100, (0.5,) * 4), (1,) * 4).members) for seed in range(30))
    assert bought <= 15


def test_the_best_of_many_looks_better_than_it_is() -> None:
    """The measured optimism is near the true one: r^2 in the pilot less r^2 with many labels."""
    measured, true = [], []
    for seed in range(25):
        labels, verdicts = crowd(seed, 100, (0.7,) * 6)
        found = chosen(labels, verdicts, (1,) * 6)
        best = next(each for each in found.looked_at if each.members == found.members)
        measured.append(found.optimism)
        many, told = crowd(100 + seed, 5000, (0.7,) * 6)
        mean = told[:, list(found.members)].mean(axis=1)
        true.append(best.explained - np.corrcoef(many, mean)[0, 1] ** 2)
    assert np.mean(measured) == pytest.approx(np.mean(true), abs=0.05)
