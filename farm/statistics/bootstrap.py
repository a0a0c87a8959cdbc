"""Bootstrap intervals by item, for every statistic that is a function of sums over items.

Item i contributes the vector s_i to a statistic f(Σ_i s_i). A draw resamples the items with replacement
(Efron 1979) and weighs each item by how often it was taken. The same weights serve all statistics, so a
thousand draws over a hundred thousand items are a few matrix products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""(..., k) sums -> (...) values; NaN where the statistic is undefined."""

BLOCK = 8_000_000  # weights held at a time
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A value, its 95 % percentile interval, and the number n of items it rests on; None where undefined."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def text(self, value: str, bounds: str) -> str:
        """The value with its bounds as text; "" without a value. value, bounds: format codes such as .3f."""
        if self.value is None:
            return ""
        if self.low is None or self.high is None:
            return f"{self.value:{value}}"
        return f"{self.value:{value}} [{self.low:{bounds}}, {self.high:{bounds}}]"


@dataclass(frozen=True, slots=True)
class Measure:
    """A statistic with its data. sums (items, k): each item's part. counted (items,): it has a part."""

    sums: Floats
    statistic: Statistic
    counted: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ItemMeasures:
    """Measures over the same items. items (n,): their places among all items that are resampled."""

    items: NDArray[np.int64]
    measures: Mapping[str, Measure]


def ratio(sums: Floats) -> Floats:
    """The quotient of two sums: (..., 2) -> (...); NaN where the second is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], np.nan)


def mean_of(items: NDArray[np.int64], scores: Floats, n_items: int) -> Measure:
    """The mean of scores as a measure over n_items items.

    items (n,): the item of each score, from 0 to n_items - 1; an item may have several. scores (n,): NaN is
    left out.
    """
    known = ~np.isnan(scores)
    total = np.bincount(items[known], scores[known], minlength=n_items)
    count = np.bincount(items[known], minlength=n_items).astype(np.float64)
    return Measure(np.column_stack([total, count]), ratio, count > 0)


def resamplings(items: int, draws: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Weights of bootstrap draws in blocks of (b, items), `draws` rows in all. Each row sums to `items`."""
    rng = np.random.default_rng(seed)
    size = max(1, BLOCK // max(items, 1))
    for start in range(0, draws, size):
        weights = np.empty((min(size, draws - start), items), dtype=np.float32)
        for row in weights:
            row[:] = np.bincount(rng.integers(0, items, items, dtype=np.int32), minlength=items)
        yield weights


def intervals(panels: Sequence[ItemMeasures], items: int, draws: int, seed: int) -> list[dict[str, Interval]]:
    """The value and the 95 % percentile interval of every measure, a dictionary by name for each panel.

    items: how many there are in all. All panels use the same draws. An interval has no bounds where fewer
    than two items count.
    """
    stacked = [_stack(panel) for panel in panels]
    drawn: list[list[Floats]] = [[] for _ in panels]
    for weights in resamplings(items, draws, seed) if items > 1 else ():
        for panel, sums, values in zip(panels, stacked, drawn, strict=True):
            own = weights if len(panel.items) == items else weights[:, panel.items]
            values.append((own @ sums).astype(np.float64))
    return [_intervals(panel, values) for panel, values in zip(panels, drawn, strict=True)]


def _stack(panel: ItemMeasures) -> NDArray[np.float32]:
    """The measures' sums side by side."""
    columns = [measure.sums for measure in panel.measures.values()]
    return np.concatenate(columns, axis=1, dtype=np.float32, casting="same_kind")


def _intervals(panel: ItemMeasures, drawn: list[Floats]) -> dict[str, Interval]:
    draws = np.concatenate(drawn) if drawn else None
    found, start = {}, 0
    for name, measure in panel.measures.items():
        width = measure.sums.shape[1]
        resampled = None if draws is None else measure.statistic(draws[:, start : start + width])
        value, n = float(measure.statistic(measure.sums.sum(axis=0))), int(measure.counted.sum())
        found[name] = _interval(value, resampled, n)
        start += width
    return found


def _interval(value: float, resampled: Floats | None, n: int) -> Interval:
    if np.isnan(value):
        return Interval(None, None, None, n)
    known = np.empty(0) if resampled is None else resampled[~np.isnan(resampled)]
    if n < 2 or not len(known):
        return Interval(value, None, None, n)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high), n)
