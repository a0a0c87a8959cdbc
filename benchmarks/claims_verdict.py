"""Verdicts on claims, by intervals over seeds.

The rule is one for all claims. A difference has Student's interval over seeds, at 95 % for one difference and
at 1 - 0.05 / k where k differences decide one claim (Bonferroni). Of each difference

    refuted    the interval lies below what would matter
    shown      it does not, and all of it lies beyond `beyond`, which is 0 where the entry says nothing else
    open       else

A claim is refuted where one of its differences is, and shown where all of them are. With fewer than SEEDS
seeds nothing is decided: a verdict that may be taken after every seed errs more often than its level says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.claims_parts import Difference
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import student_interval

SEEDS = 5
SHOWN, REFUTED, OPEN = "shown", "refuted here", "not decidable at this scale"
Figures = Mapping[str, float]
Found = Mapping[int, Mapping[str, Figures]]
"""By seed and arm: the figures of a run."""


class Decided(NamedTuple):
    """A difference over seeds, with what it says of the claim."""

    interval: Interval | None
    verdict: str


def paired(difference: Difference, found: Found) -> list[float]:
    """The difference of each seed that has all of its arms, on the claim's side of 0.

    A seed whose `at_equal` lies outside the line of the others has no difference.
    """
    values = []
    for _, arms in sorted(found.items()):
        if not {difference.arm, *difference.others} <= arms.keys():
            continue
        mine, theirs = arms[difference.arm], [arms[each] for each in difference.others]
        if difference.at_equal is None:
            other = theirs[0][difference.by]
        else:
            at = mine[difference.at_equal]
            line = sorted((each[difference.at_equal], each[difference.by]) for each in theirs)
            if not line[0][0] <= at <= line[-1][0]:
                continue
            places, heights = ([each[i] for each in line] for i in (0, 1))
            other = float(np.interp(at, places, heights))
        values.append((mine[difference.by] - other) * (-1 if difference.less else 1))
    return values


def over_seeds(values: Sequence[float], level: float = 0.95) -> Interval | None:
    """Student's interval of the mean over seeds. None for fewer than two, or where all are equal."""
    if len(values) < 2:
        return None
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    found = student_interval(float(np.mean(values)), error, len(values), level)
    return None if found.low is None else found


def decided(difference: Difference, values: Sequence[float], of: int) -> Decided:
    """What the differences of seeds say. of: how many differences decide the claim."""
    interval = over_seeds(values, 1 - 0.05 / of)
    if interval is None or interval.low is None or interval.high is None:
        return Decided(None, OPEN)
    if len(values) < SEEDS:
        return Decided(interval, OPEN)
    if interval.high < difference.matters:
        return Decided(interval, REFUTED)
    return Decided(interval, SHOWN if interval.low > difference.beyond else OPEN)


def verdict(each: Sequence[str]) -> str:
    """The verdict on a claim, of those on its differences."""
    if REFUTED in each:
        return REFUTED
    return SHOWN if all(one == SHOWN for one in each) else OPEN
