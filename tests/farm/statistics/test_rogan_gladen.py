"""The Rogan-Gladen correction: by hand, exact in expectation, and refused where it explodes."""

from __future__ import annotations

import numpy as np
import pytest

from farm.statistics.rogan_gladen import rogan_gladen


def labels(
    true_wins: int, false_wins: int, true_losses: int, false_losses: int, wins: int, losses: int
) -> list[np.ndarray]:
    """Calibration pairs by what the judge made of them, then pairs that only the judge saw."""
    human = [1.0] * true_wins + [0.0] * false_wins + [0.0] * true_losses + [1.0] * false_losses
    judge = [1.0] * (true_wins + false_wins) + [0.0] * (true_losses + false_losses)
    return [
        np.array([*human, *[np.nan] * (wins + losses)]),
        np.array([*judge, *[1.0] * wins, *[0.0] * losses]),
    ]


def test_by_hand() -> None:
    # sensitivity 40/50 = .8, specificity 36/40 = .9, observed 55/100: (.55 + .9 - 1) / (.8 + .9 - 1)
    found = rogan_gladen(*labels(40, 4, 36, 10, 55, 45))
    assert found.value == pytest.approx(0.45 / 0.7)
    assert (found.sensitivity, found.specificity, found.observed) == pytest.approx((0.8, 0.9, 0.55))
    assert (found.n, found.n_calibration, found.n_failed) == (100, 90, 0)
    # Lang and Reiczigel, z = 1.959964: p' = (55 + 1.9207) / 103.8415 = .548150, Se' = 41/52, Sp' = 37/42
    # centre (.548150 + .880952 - 1) / .669414 = .641006
    # Se'(1 - Se')/52 = .00320750, Sp'(1 - Sp')/42 = .00249703, p'(1 - p')/103.8415 = .00238519
    # variance (.00238519 + .410889 * .00320750 + .128877 * .00249703) / .448115 = .00898196
    # shift 2 z^2 (.641006 * .00320750 - .358994 * .00249703) = .00890877; reach z * .0947732 = .185752
    # with Student's t(89) = 1.986979 in the place of z: reach .188312
    assert found.interval.low == pytest.approx(0.641006 + 0.008909 - 0.188312, abs=2e-5)
    assert found.interval.high == pytest.approx(0.641006 + 0.008909 + 0.188312, abs=2e-5)


def test_pairs_of_one_instruction_are_no_further_knowledge() -> None:
    human, judge = labels(40, 4, 36, 10, 55, 45)
    once = rogan_gladen(human, judge)
    every = np.repeat(np.arange(190), 2)
    twice = rogan_gladen(np.repeat(human, 2), np.repeat(judge, 2), every)
    assert once.design_effect == 1
    assert (twice.value, twice.design_effect, twice.interval.n) == pytest.approx((once.value, 2, 90))
    widths = [each.interval.high - each.interval.low for each in (once, twice)]  # type: ignore[operator]
    assert widths[1] == pytest.approx(widths[0], rel=0.02)  # the pseudo-observations differ
    with pytest.raises(ValueError, match="all calibration pairs are of one instruction"):
        rogan_gladen(human, judge, np.r_[np.zeros(90), np.arange(100)])


def test_a_perfect_judge_is_believed() -> None:
    found = rogan_gladen(*labels(30, 0, 30, 0, 60, 40))
    assert found.value == pytest.approx(0.6)
    assert found.interval.low < 0.6 < found.interval.high  # type: ignore[operator]


def test_failures_are_counted_and_play_no_part() -> None:
    human, judge = labels(40, 4, 36, 10, 55, 45)
    human, judge = np.append(human, [1, np.nan]), np.append(judge, [np.nan, np.nan])
    found = rogan_gladen(human, judge)
    assert (found.n, found.n_calibration, found.n_failed) == (100, 90, 2)
    assert found.value == pytest.approx(0.45 / 0.7)


def test_the_value_stays_a_share() -> None:
    assert rogan_gladen(*labels(40, 10, 40, 10, 1, 99)).value == 0
    assert rogan_gladen(*labels(40, 10, 40, 10, 99, 1)).value == 1


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((10, 9, 11, 10, 5, 5), "sensitivity 0.500 . specificity 0.550 is below 1.1"),
        ((1, 30, 10, 30, 5, 5), "is below 1.1"),
        ((10, 0, 0, 2, 5, 5), "at least one human win and one human loss"),
        ((0, 5, 10, 0, 5, 5), "at least one human win and one human loss"),
        ((10, 1, 10, 1, 0, 0), "people judged every pair"),
    ],
)
def test_refusals(counts: tuple[int, int, int, int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rogan_gladen(*labels(*counts))


def test_ties_are_refused_on_either_side() -> None:
    human, judge = labels(10, 1, 10, 1, 5, 5)
    for side in (human, judge):
        side[0], kept = 0.5, side[0]
        with pytest.raises(ValueError, match=r"label is 0\.5"):
            rogan_gladen(human, judge)
        side[0] = kept
