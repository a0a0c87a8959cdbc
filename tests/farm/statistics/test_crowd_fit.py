"""Weights and noise fitted to votes: by hand, against another solver, and in worlds where they are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, minimize

from farm.statistics.agreement import Floats
from farm.statistics.crowd_fit import FOLDS, PENALTIES, MemberVerdicts, Moments, fit_crowd, solve
from farm.statistics.vote_distribution import Shares, shares

N = 3_000


def votes(chance: Floats, times: int, dice: np.random.Generator) -> Shares:
    """So many independent votes on each question, first with these chances."""
    places = np.repeat(np.arange(len(chance)), times)
    return shares(places, (dice.random(len(places)) < chance[places]).astype(float), len(chance))


def world(
    weights: Sequence[float], flip: float, n: int = N, times: int = 2, sure: float = 1.5, seed: int = 0
) -> tuple[MemberVerdicts, np.ndarray]:
    """Members of leanings of their own around a common one; people are the crowd of these weights, noised."""
    dice = np.random.default_rng(seed)
    lead = dice.normal(size=(n, 1)) + dice.normal(size=(n, len(weights)))
    chances = 1 / (1 + np.exp(-sure * lead))
    people = flip + (1 - 2 * flip) * (chances @ np.array(weights))
    members = [votes(chances[:, k], times, dice) for k in range(len(weights))]
    return MemberVerdicts.of(members, votes(people, 4, dice)), dice.integers(0, FOLDS, n)


@pytest.mark.parametrize("weights", [(0.5, 0.3, 0.2, 0.0, 0.0), (0.2,) * 5, (1.0, 0.0, 0.0, 0.0, 0.0)])
@pytest.mark.parametrize("flip", [0.0, 0.15, 0.3])
def test_a_world_of_known_weights_and_noise_is_recovered(weights: tuple[float, ...], flip: float) -> None:
    fit = fit_crowd(*world(weights, flip))
    assert fit.flip == pytest.approx(flip, abs=0.04)
    assert np.abs(fit.weights - weights).max() < 0.12
    assert fit.weights.sum() == pytest.approx(1)


def test_more_questions_bring_it_nearer() -> None:
    weights = (0.5, 0.3, 0.2, 0.0)
    errors = [
        np.mean(
            [np.abs(fit_crowd(*world(weights, 0.1, n, seed=k)).weights - weights).sum() for k in range(6)]
        )
        for n in (200, 8_000)
    ]
    assert errors[1] < errors[0] / 2


def test_members_judged_once_are_taken_to_be_certain() -> None:
    """Then what they say by chance goes for noise: as the page says, and the command warns."""
    once, twice = (fit_crowd(*world((0.25,) * 4, 0.1, times=times)).flip for times in (1, 2))
    assert twice == pytest.approx(0.1, abs=0.04)
    assert once > 0.15
    certain = fit_crowd(*world((0.25,) * 4, 0.1, times=1, sure=50)).flip
    assert certain == pytest.approx(0.1, abs=0.03)


def test_by_hand() -> None:
    # Two sure members that agree on half of the questions: A = [[1, 0], [0, 1]]. People say as the first on
    # 3/4: b_1 = 1/2. Where both members agree, on three of four, where not, on three of four: b_2 = 0.
    first = np.array([1, 1, 1, 1, 1, 1, 1, 1.0])
    second = np.array([1, 1, 1, 1, -1, -1, -1, -1.0])
    people = np.array([1, 1, 1, -1, 1, 1, 1, -1.0])
    mean = np.column_stack([first, second])
    moments = Moments.of(MemberVerdicts(mean, mean**2, people), np.arange(8))
    assert moments.quadratic.tolist() == [[1, 0], [0, 1]]
    assert moments.linear.tolist() == [0.5, 0]
    # D is least at v = b = (1/2, 0): the first member alone, with (1 - 1/2) / 2 = 1/4 of its labels flipped,
    # which is how often people contradict it.
    assert solve(moments, 0.0).tolist() == pytest.approx([0.5, 0.0], abs=1e-6)
    # An overwhelming ridge makes them equal: v (1, 1) / 2 has D = v^2 / 2 - v / 2, least at v = 1/2.
    assert solve(moments, 1e6).tolist() == pytest.approx([0.25, 0.25], abs=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 0.1, 10.0])
def test_another_solver_finds_the_same(penalty: float) -> None:
    judged, _ = world((0.4, 0.3, 0.3, 0.0, 0.0, 0.0), 0.1, n=300)
    moments = Moments.of(judged, np.arange(300))
    unequal = np.eye(6) - 1 / 6

    def value(v: Floats) -> float:
        return float(moments.loss(v) + penalty * v @ unequal @ v)

    one_at_most = LinearConstraint(np.ones(6), ub=1)
    start = np.full(6, 0.1)
    other = minimize(value, start, method="SLSQP", bounds=[(0, 1)] * 6, constraints=one_at_most, tol=1e-12)
    mine = solve(moments, penalty)
    assert mine.min() >= 0
    assert mine.sum() <= 1 + 1e-6
    assert mine == pytest.approx(other.x, abs=2e-4)


def test_a_gap_among_the_verdicts_is_no_verdict() -> None:
    judged, folds = world((0.5, 0.5, 0.0), 0.1)
    mean, square = judged.mean.copy(), judged.square.copy()
    gone = np.random.default_rng(1).random(mean.shape) < 0.2
    mean[gone], square[gone] = np.nan, np.nan
    fit = fit_crowd(MemberVerdicts(mean, square, judged.people), folds)
    assert np.abs(fit.weights - (0.5, 0.5, 0)).max() < 0.15
    assert fit.flip == pytest.approx(0.1, abs=0.05)


def test_members_whose_opinions_are_not_peoples_leave_a_coin() -> None:
    dice = np.random.default_rng(0)
    opinions = dice.integers(0, 2, (3, N)).astype(float)
    people = votes(np.full(N, 0.5), 4, dice)
    fit = fit_crowd(
        MemberVerdicts.of([votes(each, 2, dice) for each in opinions], people), dice.integers(0, FOLDS, N)
    )
    assert fit.flip > 0.45
    assert fit.weights.sum() == pytest.approx(1)


def test_too_few_common_questions_are_refused() -> None:
    judged, folds = world((0.5, 0.5), 0.1, n=40)
    judged.mean[:20, 0] = np.nan
    with pytest.raises(ValueError, match="20 questions are judged in common"):
        fit_crowd(judged, folds)


def test_folds_without_a_question_are_passed_over() -> None:
    """Few instructions fill few folds: two choose a penalty as five do, one can choose none."""
    judged, folds = world((0.7, 0.3, 0.0), 0.1)
    assert fit_crowd(judged, folds % 2).weights == pytest.approx(fit_crowd(judged, folds).weights, abs=0.05)
    alone = fit_crowd(judged, np.zeros_like(folds))
    assert (alone.weights == pytest.approx([1 / 3] * 3, abs=0.01), alone.penalty) == (True, PENALTIES[-1])
