"""How many labels an interval needs, and which pairs are drawn for people."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.statistics.label_budget import label_next, labels_needed, pilot_spread, pilot_sums
from farm.statistics.prediction_powered import prediction_powered_win_rate


def test_a_plan_by_hand() -> None:
    # pilot of 20, half wins: variance 20 / 19 * .25 = .263158. The judge is right on 16: r = .6
    human = np.full(10_000, np.nan)
    human[:20] = [1, 0] * 10
    judge = np.tile([1.0, 0.0], 5000)
    judge[[0, 2, 1, 3]] = [0, 0, 1, 1]
    plan = labels_needed(0.1, human, judge)
    # Wilson's half-width at 1/2 with k = t^2 (.263158 left / n) / .25: sqrt(k / 4 + k^2 / 4) / (1 + k) <= .1
    # so k = 1 / 24: n = 24 t^2 1.052632 left. Alone, t(101) = 1.983731: 99.4; t(99) = 1.984217: 99.46 -> 100
    assert plan.n_without_judge == 100
    # left = 1 - .36 (1 - n / 10,000) = .642268 at 63, t(62) = 1.998972: 64.83; at 65, t(64) = 1.997730: 64.76
    assert plan.n == 65


@given(st.data())
def test_how_labels_go_together_is_that_of_every_couple_counted(data: st.DataObject) -> None:
    """The correlation within instructions, spelled out over couples; also with one instruction left out."""
    size = data.draw(st.integers(14, 24))
    draws = (st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.2, 1.0]), st.integers(0, 4))
    human, judge, clusters = (
        np.array(data.draw(st.lists(each, min_size=size, max_size=size))) for each in draws
    )
    human[data.draw(st.lists(st.integers(0, size - 1), max_size=4))] = np.nan
    clusters = np.unique(clusters, return_inverse=True)[1]
    sums = pilot_sums(human, judge, clusters)
    for left_out in (None, 0):
        kept = clusters != left_out if left_out is not None else np.full(size, True)
        people, verdicts, own = human[kept], judge[kept], clusters[kept]
        known = ~np.isnan(people)
        if known.sum() < 3 or people[known].std() == 0:
            continue
        found = pilot_spread(
            {name: each.sum() - (0 if left_out is None else each[left_out]) for name, each in sums.items()}
        )
        y = (people - people[known].mean()) / people[known].std()
        f = (verdicts - verdicts.mean()) / verdicts.std() if verdicts.std() else np.zeros(len(verdicts))
        follows = np.mean(y[known] * f[known])
        couples = [(i, j) for i in range(len(own)) for j in range(len(own)) if i != j and own[i] == own[j]]
        ours = [y[i] * y[j] for i, j in couples if known[i] and known[j]]
        crossed = [y[i] * f[j] for i, j in couples if known[i]]
        theirs = [f[i] * f[j] for i, j in couples]
        if abs(follows - 0.1) < 1e-6:
            continue  # at the edge of the two estimates
        other = np.mean(theirs or [0]) if follows < 0.1 else np.mean(crossed or [0]) / follows
        within = (sum(ours) / 2 + 10 * np.clip(other, 0, 1)) / (len(ours) / 2 + 10)
        assert found.variance == pytest.approx(people[known].var(ddof=1))
        assert found.together == pytest.approx(np.clip(within, 0, 1) * people[known].var(ddof=1), abs=1e-9)
        if verdicts[known].std() > 1e-9:
            r = np.corrcoef(people[known], verdicts[known])[0, 1]
            assert found.explained == pytest.approx(max(0, r) ** 2, abs=1e-9)


@pytest.mark.parametrize("pairs", [1, 10, 20])
def test_the_promise_holds_where_pairs_of_an_instruction_go_together(pairs: int) -> None:
    """The mean half-width over pools is the planned one, .1; without instructions 20 pairs gave .13."""
    rng = np.random.default_rng(pairs)
    found, kept = [], 0
    for _ in range(25):
        instructions = np.repeat(np.arange(100), pairs) if pairs > 1 else np.arange(2000)
        chance = rng.beta(1.2, 0.8, instructions.max() + 1)[instructions]
        truth = (rng.random(len(chance)) < chance).astype(float)
        judge = np.where(rng.random(len(chance)) < 0.8, truth, 1 - truth)
        order = rng.permutation(len(chance))
        pilot = np.where(np.argsort(order) < 50, truth, np.nan)
        plan = labels_needed(0.1, pilot, judge, instructions)
        human = np.where(np.argsort(order) < plan.n, truth, np.nan)
        interval = prediction_powered_win_rate(human, judge, instructions).interval
        found.append((interval.high - interval.low) / 2)  # type: ignore[operator]
        kept += plan.low <= found[-1] <= plan.high
    assert np.mean(found) == pytest.approx(0.1, rel=0.08)
    assert kept >= 23


def test_the_plan_is_what_the_interval_shows() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice([0.0, 1.0], 5000)
    judge = np.where(rng.random(5000) < 0.8, truth, 1 - truth)
    pilot = np.where(np.arange(5000) < 400, truth, np.nan)
    plan = labels_needed(0.04, pilot, judge)
    human = np.where(np.arange(5000) < plan.n, truth, np.nan)
    found = prediction_powered_win_rate(human, judge).interval
    assert (found.high - found.low) / 2 == pytest.approx(0.04, rel=0.05)  # type: ignore[operator]
    assert plan.n < plan.n_without_judge


@pytest.mark.parametrize(
    ("half_width", "labels", "message"),
    [
        (0.0, 20, "between 0 and 0.5"),
        (0.6, 20, "between 0 and 0.5"),
        (0.1, 9, "pilot of 10 human labels, not 9"),
        (0.01, 20, "all 100 pairs labelled would give"),
    ],
)
def test_refused_plans(half_width: float, labels: int, message: str) -> None:
    human = np.full(100, np.nan)
    human[:labels] = np.arange(labels) % 2
    with pytest.raises(ValueError, match=message):
        labels_needed(half_width, human, np.arange(100) % 2)


def test_a_pilot_must_vary() -> None:
    with pytest.raises(ValueError, match="all 20 human labels are 1"):
        labels_needed(0.1, np.ones(20), np.ones(20))


@given(
    st.lists(
        st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=2, max_size=2), min_size=1, max_size=30
    ),
    st.data(),
)
def test_the_budget_is_kept(judgements: list[list[float]], data: st.DataObject) -> None:
    budget = data.draw(st.integers(1, len(judgements)))
    found = label_next(judgements, budget, uniform=data.draw(st.floats(0.01, 1)), seed=1)
    assert found["chosen"].sum() == budget
    assert found["inclusion"].between(0, 1 + 1e-9).all()
    assert found["inclusion"].sum() == pytest.approx(budget)
    assert (found["inclusion"] > 0).all()


def test_doubt_is_disagreement_and_uncertainty() -> None:
    # one judge unsure, two judges opposed: p = .5 both times; two sure and agreed: none
    found = label_next([[0.5, 0.5], [1.0, 0.0], [1.0, 1.0], [np.nan, np.nan]], 2)
    assert found["doubt"].tolist() == [0.5, 0.5, 0, 0.5]
    assert found["inclusion"][0] == found["inclusion"][1] > found["inclusion"][2] > 0


def test_pairs_are_chosen_as_often_as_is_said() -> None:
    rng = np.random.default_rng(2)
    judgements = rng.random((40, 3))
    drawn = [label_next(judgements, 10, seed=seed) for seed in range(600)]
    share = np.mean([found["chosen"].to_numpy() for found in drawn], axis=0)
    assert np.abs(share - drawn[0]["inclusion"].to_numpy()).max() < 0.08  # four standard errors
    assert np.array_equal(drawn[3]["chosen"], label_next(judgements, 10, seed=3)["chosen"])


@pytest.mark.parametrize(("budget", "uniform"), [(0, 0.5), (5, 0.5), (2, 0.0), (2, 1.5)])
def test_refused_draws(budget: int, uniform: float) -> None:
    with pytest.raises(ValueError, match=r"a budget is from 1|the share spread evenly"):
        label_next([0.1, 0.5, 0.9, 1.0], budget, uniform=uniform)
