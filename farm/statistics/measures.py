"""Statistics of sums over questions, with bounds from leaving one cluster of questions out at a time.

Question i contributes the vector s_i to a statistic f(sum_i s_i). Questions of one instruction are a cluster.
The error is the jackknife's over G clusters (Efron and Stein 1981): f_g is f without cluster g, and
se^2 = (G - 1) / G sum_g (f_g - mean f_g)^2. Nothing is drawn, so row order and seeds play no part. bounds.py
makes bounds of it. A chance-corrected coefficient (A - E) / (1 - E) has the bounds of the share A, with the
jackknife's error of the whole coefficient: where all agree, they follow the rule of three as A's do.

A mean of parts of a loss has rare whole losses beside frequent small ones, and few clusters may show none of
the former. So UNSEEN of a worst cluster is added to the variance of such a mean: UNSEEN (b / G)^2, where b is
how far the worst cluster that was seen is from the worst that there can be. The weight was chosen by
simulation (docs/statistics.md). A difference of two such means has many small gains and rare whole losses, so
one more whole loss is added: (b / G)^2, where b is how far the low end of the range is from the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import SAME, share_bounds, student_interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]
"""(..., k) sums -> (...) values; NaN where the statistic is undefined."""


UNSEEN = 0.1  # of a worst cluster


class Span(NamedTuple):
    """The range of a statistic: it is low + span share, with a share in [0, 1]."""

    low: float
    span: float


def share_scale(sums: Floats) -> Span:
    """The scale of a share, whatever its sums."""
    return Span(0.0, 1.0)


def difference_scale(sums: Floats) -> Span:
    """The scale of a difference of two shares, whatever its sums."""
    return Span(-1.0, 2.0)


def no_scale(sums: Floats) -> None:
    """No scale: the statistic has no limits."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A statistic with its data. sums (items, k): each item's part. counted (items,): it has a part.

    scale: the range of the statistic as a function of all sums (k,); None where it has no limits. least: with
    fewer clusters there are no bounds, since they would cover too seldom. in_parts: it is a mean of shares of
    which an item may lose a part, so that whole losses may be unseen. one_more: it is a difference of such
    means, and one more whole loss is added.
    """

    sums: Floats
    statistic: Statistic
    counted: NDArray[np.bool_]
    scale: Callable[[Floats], Span | None] = share_scale
    least: int = 2
    in_parts: bool = False
    one_more: bool = False


def ratio(sums: Floats) -> Floats:
    """The quotient of two sums: (..., 2) -> (...); NaN where the second is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], np.nan)


def even_weights(cells: Ints, scores: Floats) -> Floats:
    """The weight 1 / k of each score: (n,). k: how many known scores its cell has.

    cells (n,): from 0, such as the question of each score. scores (n,): NaN is unknown.
    """
    known = ~np.isnan(scores)
    weights: Floats = (
        1 / np.maximum(np.bincount(cells[known], minlength=int(cells.max(initial=0)) + 1), 1)[cells]
    )
    return weights


def mean_of(
    items: Ints,
    scores: Floats,
    n_items: int,
    *,
    weights: Floats | None = None,
    scale: Callable[[Floats], Span | None] = share_scale,
    in_parts: bool = False,
    one_more: bool = False,
) -> Measure:
    """The weighted mean of scores as a measure over n_items items.

    items (n,): the item of each score, from 0 to n_items - 1. scores (n,): NaN is left out. weights (n,): of
    the scores, 1 where they are not given. scale, in_parts, one_more: as of a Measure.
    """
    weight = np.ones(len(items)) if weights is None else weights
    known = ~np.isnan(scores)
    place, weight = items[known], weight[known]
    total = np.bincount(place, weight * scores[known], minlength=n_items)
    count = np.bincount(place, weight, minlength=n_items)
    return Measure(
        np.column_stack([total, count]), ratio, count > 0, scale, in_parts=in_parts, one_more=one_more
    )


def intervals(measures: Mapping[str, Measure], clusters: Ints) -> dict[str, Interval]:
    """The value and the 95 % bounds of every measure by name. clusters (items,): the cluster of each item.

    An interval's n counts items. It has no bounds with fewer clusters than the measure asks for, or where the
    statistic is undefined without one of them.
    """
    return {name: _interval(measure, clusters) for name, measure in measures.items()}


def _interval(measure: Measure, clusters: Ints) -> Interval:
    whole = measure.sums.sum(axis=0)
    value, n = float(measure.statistic(whole)), int(measure.counted.sum())
    if np.isnan(value):
        return Interval(None, None, None, n)
    places, own = np.unique(clusters[measure.counted], return_inverse=True)
    groups = len(places)
    columns = measure.sums[measure.counted].T
    parts: Floats = np.column_stack([np.bincount(own, column, groups) for column in columns]).astype(
        np.float64
    )
    without = measure.statistic(whole - parts) if groups >= measure.least else np.array([np.nan])
    if np.isnan(without).any():
        return Interval(value, None, None, n)
    error = float(np.sqrt((groups - 1) / groups * np.square(without - without.mean()).sum()))
    if measure.in_parts and error > SAME:
        error = float(np.sqrt(error**2 + UNSEEN * (_beyond(parts, value) / groups) ** 2))
    scale = measure.scale(whole)
    if scale is None:
        found = student_interval(value, error, groups)
        return Interval(value, found.low, found.high, n)
    share = min(max((value - scale.low) / scale.span, 0.0), 1.0)
    error /= scale.span
    if measure.one_more and error > SAME:
        error = float(np.hypot(error, share / groups))
    bounds = share_bounds(share, error, groups)
    assert bounds is not None  # there are two groups
    low, high = (scale.low + scale.span * each for each in bounds)
    return Interval(value, low, high, n)


def _beyond(parts: Floats, value: float) -> float:
    """How far from the worst of these clusters the worst possible one is. value: their mean, a share."""
    seen = ratio(parts)
    return float(seen.min() if value >= 0.5 else 1 - seen.max())
