"""Agreement and its gain by hand, and how often a candidate is accepted that is no better."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

from farm.aligning.verdicts import agreed, compared
from farm.statistics.bounds import answer
from tests.support.benchmark_scripts import benchmark

SCRIPT = benchmark("alignments")
FULL = bool(os.environ.get("FARM_FULL"))
RUNS = 2_000 if FULL else 200
NO_HELP = [name for name in SCRIPT.WORLDS if name.startswith("no rule")]


def test_agreement_is_the_share_of_the_votes_for_the_side_and_none_counts_as_a_coins() -> None:
    verdict = np.array([1.0, 0.0, 0.5, np.nan, 1.0])
    mean = np.array([0.75, 0.75, 0.9, 1.0, 0.5])
    assert agreed(verdict, mean) == pytest.approx([0.75, 0.25, 0.5, 0.5, 0.5])


def test_the_gain_is_bounded_by_instruction() -> None:
    """Judge right on 1, 0, 0, 0 and candidate on 1, 1, 1, none: a gain of (0 + 1 + 1 + 1/2) / 4."""
    rows = pd.DataFrame({"mean": [1.0] * 4, "instruction": ["x", "x", "y", "z"]})
    found = compared(rows, np.array([1.0, 0, 0, 0]), np.array([1.0, 1, 1, np.nan]), 0.95)
    assert found.gain.value == pytest.approx(0.625)
    assert (found.judge.value, found.candidate.value) == (0.25, 0.875)
    assert (found.gain.n, found.failed) == (3, (0, 1))


def test_a_judge_is_not_shown_to_be_better_than_itself() -> None:
    same = pd.DataFrame({"mean": [1.0, 0.0] * 20, "instruction": [str(n) for n in range(40)]})
    judge = np.array([1.0, 1.0] * 20)
    assert answer(compared(same, judge, judge, 0.95).gain) == "not decided"


@pytest.mark.proof
@pytest.mark.parametrize("name", NO_HELP if FULL else NO_HELP[:1])
def test_a_rule_that_does_not_help_is_accepted_in_one_of_twenty_at_most(name: str) -> None:
    """At most 5 % of the runs; the interval is two-sided, so 2.5 % are expected at most."""
    share = np.mean(list(SCRIPT.alignments(SCRIPT.WORLDS[name], RUNS)))
    assert share <= 0.05


@pytest.mark.proof
def test_a_rule_that_helps_is_mostly_accepted() -> None:
    share = np.mean(list(SCRIPT.alignments(SCRIPT.WORLDS["a rule gains 0.2, 100 pairs a side"], RUNS // 4)))
    assert share > 0.8
