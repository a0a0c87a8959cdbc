"""Rates of a study that have no bounds."""

from __future__ import annotations

from farm.statistics.bootstrap import Interval
from farm.studies.results import DIFFERENCE, Rate, TurningPoint, rate_of


def test_a_missing_bound_is_the_widest_and_not_the_value() -> None:
    """A drop without bounds has not turned, and a correlation without them is not certain."""
    unknown = Interval(-0.2, None, None, 2)
    assert rate_of(unknown, DIFFERENCE) == Rate(-0.2, -1, 1)
    assert rate_of(Interval(1.0, None, None, 1)) == Rate(1.0, 0, 1)
    assert not TurningPoint("c", "f", peak=1, last=2, drop=rate_of(unknown, DIFFERENCE)).turned
