"""When a run has turned: by hand, and by simulation of runs that stay as they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from farm.statistics.turning import best_of, fall, joint_level
from farm.statistics.win_rates import win_rate_difference

Votes = dict[int, "pd.Series[float]"]


def votes(*rows: list[float]) -> Votes:
    return {step: pd.Series(row, dtype=float) for step, row in enumerate(rows, 1)}


def test_levels_share_one_error_of_five_percent() -> None:
    assert joint_level(2) == pytest.approx(0.95)
    assert joint_level(5) == pytest.approx(1 - 0.05 / 10)
    with pytest.raises(ValueError, match="1 evaluations have no difference"):
        joint_level(1)


def test_the_best_is_the_earliest_of_the_highest_means() -> None:
    assert best_of(votes([0, 1, 0, 1], [1, 1, 0, np.nan], [1, 0, 1, np.nan])) == 2
    with pytest.raises(ValueError, match="no evaluation has a judgement"):
        best_of(votes([np.nan, np.nan]))


def test_a_fall_is_the_paired_difference_from_the_best_at_the_joint_level() -> None:
    found = votes([0.5] * 30, [1.0] * 20 + [0.5] * 10, [0.0] * 15 + [0.5] * 15)
    told = fall(found, 4)
    assert told == win_rate_difference(found[2], found[3], joint_level(4)).interval
    assert told is not None
    assert told.value == pytest.approx((15 * 1.0 + 5 * 0.5) / 30)
    assert told.low is not None
    assert told.low > 0
    usual = win_rate_difference(found[2], found[3]).interval.low
    assert usual is not None
    assert told.low < usual


def test_there_is_no_fall_of_the_best_or_where_nothing_is_shared() -> None:
    assert fall(votes([0.0, 1.0], [1.0, 1.0]), 2) is None
    assert fall(votes([1.0, np.nan], [np.nan, 0.0]), 2) is None
    assert fall(votes([1.0, 1.0], [np.nan, np.nan]), 2) is None
    assert fall(votes([1.0, 1.0]), 1) is None


def test_runs_of_equal_checkpoints_are_stopped_in_at_most_five_percent() -> None:
    """150 runs of 5 evaluations on 60 instructions, a third of them answered alike by all checkpoints."""
    draw, runs, looks = np.random.default_rng(3), 150, 5
    stopped = 0
    for _ in range(runs):
        taste = draw.choice([0.1, 0.5, 0.9], 60)
        said = (draw.random((looks, 60)) < taste).astype(float)
        said[:, :20] = said[0, :20]
        found = votes(*said.tolist())
        for last in range(2, looks + 1):
            told = fall({step: found[step] for step in range(1, last + 1)}, looks)
            if told is not None and told.low is not None and told.low > 0:
                stopped += 1
                break
    assert stopped / runs <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)
