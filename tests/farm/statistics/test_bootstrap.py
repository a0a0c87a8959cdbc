"""The bootstrap by item: hand-worked weights, coverage by simulation."""

from __future__ import annotations

import os

import numpy as np
import pytest

from farm.statistics.bootstrap import ItemMeasures, Measure, intervals, mean_of, ratio, resamplings
from farm.statistics.reliability import coincidences, krippendorff_alpha

FULL = bool(os.environ.get("FARM_FULL"))


def test_each_resampling_has_as_many_items() -> None:
    weights = np.concatenate(list(resamplings(50, 40, 1)))
    assert weights.shape == (40, 50)
    assert (weights.sum(axis=1) == 50).all()
    assert np.array_equal(weights, np.concatenate(list(resamplings(50, 40, 1))))
    assert weights.var() == pytest.approx(0.98, abs=0.08)  # multinomial: 1 - 1/50


def test_a_mean_over_several_judgements_of_an_item() -> None:
    measure = mean_of(np.array([0, 0, 2]), np.array([1.0, 0.0, 1.0]), 3)
    assert measure.sums.tolist() == [[1, 2], [0, 0], [1, 1]]
    [found] = intervals([ItemMeasures(np.arange(3), {"x": measure})], 3, 0, 0)
    assert found["x"].value == pytest.approx(2 / 3)
    assert (found["x"].low, found["x"].n) == (None, 2)


def test_what_is_undefined_has_no_value() -> None:
    measure = mean_of(np.array([0]), np.array([np.nan]), 1)
    [found] = intervals([ItemMeasures(np.arange(1), {"x": measure})], 1, 100, 0)
    assert (found["x"].value, found["x"].low, found["x"].high, found["x"].n) == (None, None, None, 0)


def test_the_interval_of_a_mean_is_near_the_normal_one() -> None:
    scores = np.random.default_rng(3).random(400)
    measure = mean_of(np.arange(400), scores, 400)
    [found] = intervals([ItemMeasures(np.arange(400), {"x": measure})], 400, 4_000, 0)
    half = 1.96 * scores.std() / 20
    assert found["x"].low == pytest.approx(scores.mean() - half, abs=half / 15)
    assert found["x"].high == pytest.approx(scores.mean() + half, abs=half / 15)


def test_panels_over_some_of_the_items_share_the_weights() -> None:
    """A panel over items 5..9 sees the weights of those items: equal to zeros elsewhere."""
    rng = np.random.default_rng(0)
    own = np.column_stack([rng.random(5), np.ones(5)])
    padded = np.vstack([np.zeros((5, 2)), own])
    counted = np.ones(5, dtype=bool)
    part, whole = intervals(
        [
            ItemMeasures(np.arange(5, 10), {"x": Measure(own, ratio, counted)}),
            ItemMeasures(np.arange(10), {"x": Measure(padded, ratio, np.r_[~counted, counted])}),
        ],
        10,
        500,
        7,
    )
    assert part["x"].low == pytest.approx(whole["x"].low)
    assert part["x"].high == pytest.approx(whole["x"].high)


@pytest.mark.proof
@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_cover_the_truth(clustered: bool) -> None:
    """95 % intervals of a rate over 200 items, some judged several times, cover it 93 to 97 % of the time."""
    studies = 2_000 if FULL else 300
    rng, hits = np.random.default_rng(11), 0
    for study in range(studies):
        chance = rng.beta(6, 3, 200) if clustered else np.full(200, 2 / 3)
        items = np.repeat(np.arange(200), 4) if clustered else np.arange(200)
        scores = (rng.random(len(items)) < chance[items]).astype(float)
        [found] = intervals(
            [ItemMeasures(np.arange(200), {"x": mean_of(items, scores, 200)})], 200, 400, study
        )
        low, high = found["x"].low, found["x"].high
        assert low is not None
        assert high is not None
        hits += low <= 2 / 3 <= high
    slack = 0.0 if FULL else 0.02
    assert 0.93 - slack <= hits / studies <= 0.97 + slack


@pytest.mark.proof
def test_intervals_of_a_coefficient_cover_the_populations() -> None:
    """95 % intervals of alpha from 200 questions cover the alpha of the 20,000 that they were drawn from."""
    studies = 1_000 if FULL else 300
    rng, hits = np.random.default_rng(12), 0
    chances = rng.dirichlet([1.0, 0.4, 1.2], 20_000)
    population = np.array(
        [
            rng.multinomial(votes, chance)
            for votes, chance in zip(rng.integers(1, 6, 20_000), chances, strict=True)
        ]
    )
    truth = krippendorff_alpha(coincidences(population).sum(axis=0))
    everyone = np.ones(200, dtype=bool)
    for study in range(studies):
        sums = coincidences(population[rng.integers(0, 20_000, 200)])
        measure = Measure(sums, krippendorff_alpha, everyone)
        [found] = intervals([ItemMeasures(np.arange(200), {"alpha": measure})], 200, 400, study)
        low, high = found["alpha"].low, found["alpha"].high
        assert low is not None
        assert high is not None
        hits += int(low <= truth <= high)
    slack = 0.0 if FULL else 0.02
    assert 0.93 - slack <= hits / studies <= 0.97 + slack
