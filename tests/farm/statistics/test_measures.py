"""Statistics of sums with the jackknife by instruction: by hand, by textbook formulas, by coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from farm.statistics.agreement import leave_one_out, votes
from farm.statistics.bounds import difference_interval, share_interval
from farm.statistics.measures import Measure, difference_scale, intervals, mean_of, no_scale, ratio
from farm.statistics.profile import JudgementColumns, Reference, Units, against_reference
from farm.statistics.reliability import alpha_scale, coincidences, krippendorff_alpha
from tests.support.benchmark_scripts import benchmark

SCRIPT = benchmark("coverage_audit")


def test_a_mean_over_several_judgements_of_an_item() -> None:
    measure = mean_of(np.array([0, 0, 2]), np.array([1.0, 0.0, 1.0]), 3)
    assert measure.sums.tolist() == [[1, 2], [0, 0], [1, 1]]
    found = intervals({"x": measure}, np.array([0, 0, 0]))["x"]
    assert found.value == pytest.approx(2 / 3)
    assert (found.low, found.n) == (None, 2)  # one instruction


def test_what_is_undefined_has_no_value() -> None:
    found = intervals({"x": mean_of(np.array([0]), np.array([np.nan]), 1)}, np.array([0]))["x"]
    assert (found.value, found.low, found.high, found.n) == (None, None, None, 0)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_a_mean_has_the_textbooks_error(values: list[float]) -> None:
    scores = np.array(values)
    error = scores.std(ddof=1) / np.sqrt(len(scores))
    found = intervals({"x": mean_of(np.arange(len(scores)), scores, len(scores))}, np.arange(len(scores)))[
        "x"
    ]
    expected = share_interval(float(scores.mean()), float(error), len(scores))
    if error > 1e-9:
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_whole_losses_that_were_not_seen_widen_a_mean_of_parts() -> None:
    # the worst of 1, 1, 2/3, 1/2 is 1/2 from 0: .1 (.5 / 4)^2 comes on top of the variance of the mean
    for scores, beyond in (
        ([1.0, 1.0, 2 / 3, 0.5], 0.5),
        ([0.0, 0.0, 1 / 3, 0.5], 0.5),
        ([1.0, 1, 1, 0], 0.0),
    ):
        one, of = np.array(scores), np.arange(4)
        found = intervals({"x": mean_of(of, one, 4, in_parts=True)}, of)["x"]
        error = np.sqrt(one.var(ddof=1) / 4 + 0.1 * (beyond / 4) ** 2)
        expected = share_interval(float(one.mean()), float(error), 4)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    same = {kind: mean_of(np.arange(4), np.full(4, 0.8), 4, in_parts=kind) for kind in (False, True)}
    rule_of_three = intervals({str(kind): each for kind, each in same.items()}, np.arange(4))
    assert rule_of_three["True"] == rule_of_three["False"]


def test_a_mean_without_limits_has_students_bounds() -> None:
    scores = np.array([0.2, 1.9, 0.7, 3.0])
    measure = mean_of(np.arange(4), scores, 4, scale=no_scale)
    found = intervals({"x": measure}, np.arange(4))["x"]
    expected = student.interval(0.95, 3, scores.mean(), scores.std(ddof=1) / 2)
    assert (found.low, found.high) == pytest.approx(expected)


def test_the_questions_of_an_instruction_are_left_out_together() -> None:
    # instructions {1, 1}, {0, 1}, {0}: 3 of 5; without each: 1/3, 2/3, 3/4; their mean 7/12
    # se^2 = 2/3 ((1/3 - 7/12)^2 + (2/3 - 7/12)^2 + (3/4 - 7/12)^2) = 2/3 (9 + 1 + 4) / 144
    measure = mean_of(np.arange(5), np.array([1.0, 1, 0, 1, 0]), 5)
    found = intervals({"x": measure}, np.array([7, 7, 3, 3, 9]))["x"]
    expected = share_interval(0.6, np.sqrt(2 / 3 * 14 / 144), 3)
    assert [found.low, found.high, found.n] == pytest.approx([expected.low, expected.high, 5])


def test_one_more_whole_loss_widens_a_difference() -> None:
    scores = np.array([1 / 3, 1 / 3, 0.0, 0.0, 1 / 3])
    place = np.arange(5)
    measure = mean_of(place, scores, 5, scale=difference_scale, one_more=True)
    wider = intervals({"x": measure}, place)["x"]
    error = float(np.hypot(scores.std(ddof=1) / np.sqrt(5), (scores.mean() + 1) / 5))
    expected = difference_interval(float(scores.mean()), error, 5)
    assert (wider.low, wider.high) == pytest.approx((expected.low, expected.high))


def test_a_judge_like_a_person_is_rarely_told_to_be_better() -> None:
    """Three people and a judge who are right seven times in ten on 20 questions. Before: 15 to 20 %."""
    rng, said_yes = np.random.default_rng(0), 0
    for _ in range(200):
        truth = rng.integers(0, 2, 20) * 2
        said = [np.where(rng.random(20) < 0.7, truth, 2 - truth) for _ in range(4)]
        place = np.arange(20)
        counts = votes(np.tile(place, 3), np.concatenate(said[:3]), 20)
        people = np.mean([leave_one_out(each / 2, counts) for each in said[:3]], axis=0)
        judged = JudgementColumns(place, said[3] / 2, np.full(20, -1), np.zeros(20, np.int64))
        no = np.zeros(20, bool)
        units = Units(np.ones((20, 2), np.int64), np.zeros((20, 2), bool), no, place, place)
        measures = against_reference(judged, Reference(counts, None, people), units, unreadable_is_wrong=True)
        found = intervals({"x": measures["over_people"]}, place)["x"]
        said_yes += found.low is not None and found.low > 0
    assert said_yes <= 20


def test_alpha_of_people_who_all_agree_follows_the_rule_of_three() -> None:
    counts = np.array([[0, 0, 3], [3, 0, 0]] * 10)
    measure = Measure(coincidences(counts), krippendorff_alpha, np.ones(20, bool), alpha_scale)
    found = intervals({"alpha": measure}, np.arange(20))["alpha"]
    # A is at least .05^(1/20); D_e = 1/2 * 60 / 59
    expected = 1 - (1 - 0.05 ** (1 / 20)) / (0.5 * 60 / 59)
    assert [found.value, found.high] == pytest.approx([1, 1])
    assert found.low == pytest.approx(expected)


def test_a_coefficient_that_hangs_on_one_instruction_has_no_bounds() -> None:
    counts = np.array([[0, 0, 3]] * 10 + [[2, 0, 1]])
    measure = Measure(coincidences(counts), krippendorff_alpha, np.ones(11, bool), alpha_scale)
    found = intervals({"alpha": measure}, np.arange(11))["alpha"]
    assert found.value is not None
    assert found.low is None


def test_a_ratio_needs_something_below() -> None:
    assert np.isnan(ratio(np.array([0.0, 0.0])))


@pytest.mark.parametrize(
    ("size", "chance", "clustered"), [(20, 0.7, True), (50, 0.97, False), (10, 0.9, False)]
)
def test_bounds_cover_the_truth(size: int, chance: float, clustered: bool) -> None:
    """Of 150 studies: 2.5 standard errors of 95 % are 4.5 points. More than 97 % is no fault."""
    for name, found in SCRIPT.coverage(size, chance, clustered, 150).items():
        assert found.coverage is None or found.coverage >= 0.905, name


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("chance", [0.7, 0.9, 0.97, 1.0])
def test_bounds_cover_the_truth_at_every_size(chance: float, clustered: bool) -> None:
    for size in SCRIPT.SIZES:
        for name, found in SCRIPT.coverage(size, chance, clustered, 1_000).items():
            assert found.coverage is None or found.coverage >= 0.9, (size, name)
