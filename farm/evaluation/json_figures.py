"""Figures as JSON objects."""

from __future__ import annotations

from db.ids import Json
from farm.statistics.bootstrap import Interval


def interval_json(interval: Interval) -> Json:
    """An interval as a JSON object: value, low, high, n."""
    return {"value": interval.value, "low": interval.low, "high": interval.high, "n": interval.n}
