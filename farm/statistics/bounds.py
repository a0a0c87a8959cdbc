"""Bounds of a mean from its standard error, at 95 % or another level.

One rule serves win rates, agreements and their differences.

Items are independent: instructions, or clusters of judgements. The interval of a share is Wilson's (1927)
with an effective sample size n_eff = m (1 - m) / se^2, where m is the mean and se its clustered error, and
Student's quantile on items - 1 degrees of freedom. It stays inside [0, 1]. For independent wins and losses it
is Wilson's own interval up to that quantile.

Where every item says the same, the error is 0 and shows nothing. Bounds of a share or of a difference then
follow the rule of three, and a mean without limits gets no bounds. No interval has the width 0."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from farm.statistics.bootstrap import LEVEL, Interval
from farm.statistics.student import student_quantile

Floats = NDArray[np.float64]

SAME = 1e-12  # an error up to here is rounding: all items say the same


class Bounds(NamedTuple):
    """The ends of an interval, shares in [0, 1]."""

    low: float
    high: float


Told = Literal["yes", "no", "not decided"]


def answer(difference: Interval) -> Told | None:
    """Whether a difference is above 0, by its bounds: "yes", "no", or "not decided" where 0 is within.

    None without a value. Without bounds nothing is decided.
    """
    if difference.value is None:
        return None
    if difference.low is None or difference.high is None:
        return "not decided"
    return "yes" if difference.low > 0 else "no" if difference.high < 0 else "not decided"


def clustered_error(values: Floats, clusters: NDArray[np.intp], weights: Floats | None = None) -> float:
    """Standard error of the mean of values (n,) in clusters (n,), numbered from 0. NaN with one cluster.

    sqrt(G / (G - 1) sum_g (sum_{i in g} w_i (x_i - mean))^2) / sum_i w_i. Without weights (n,) every w_i is
    1. Then, with clusters of one, it is sd (ddof 1) / sqrt(n)."""
    groups = len(np.unique(clusters))
    if groups < 2:
        return float("nan")
    w = np.ones(len(values)) if weights is None else weights
    sums = np.bincount(clusters, w * (values - np.average(values, weights=w)))
    return float(np.sqrt(groups / (groups - 1) * np.square(sums).sum()) / w.sum())


def share_interval(mean: float, error: float, n: int) -> Interval:
    """The 95 % interval of a mean in [0, 1] with this standard error over n independent items.

    It has no bounds where n is 1.
    """
    bounds = share_bounds(mean, error, n)
    return Interval(mean, None, None, n) if bounds is None else Interval(mean, *bounds, n)


def clustered_share(values: Floats, groups: NDArray[np.int64]) -> Interval:
    """The mean of values (n,) in [0, 1] with its 95 % interval; values of one group are not independent.

    groups (n,): of each value, any numbers; n of the interval is how many there are. No values, no mean.
    """
    if not len(values):
        return Interval(None, None, None, 0)
    clusters = np.unique(groups, return_inverse=True)[1]
    return share_interval(float(values.mean()), clustered_error(values, clusters), int(clusters.max()) + 1)


def difference_interval(mean: float, error: float, n: int, level: float = LEVEL) -> Interval:
    """The interval of a mean difference in [-1, 1] of n independent items, such as two paired shares.

    It is the interval of the share (mean + 1) / 2. It has no bounds where n is 1.
    """
    bounds = share_bounds((mean + 1) / 2, error / 2, n, level)
    if bounds is None:
        return Interval(mean, None, None, n)
    return Interval(mean, 2 * bounds.low - 1, 2 * bounds.high - 1, n)


def clustered_difference(
    values: Floats, groups: NDArray[np.int64] | NDArray[np.str_], level: float = LEVEL
) -> Interval:
    """The mean of paired differences (n,) in [-1, 1] with its interval; one group's are not independent.

    groups (n,): of each difference, any numbers or names. No values, no mean.
    """
    if not len(values):
        return Interval(None, None, None, 0)
    clusters = np.unique(groups, return_inverse=True)[1]
    error = clustered_error(values, clusters)
    return difference_interval(float(values.mean()), error, int(clusters.max()) + 1, level)


def student_interval(mean: float, error: float, n: int, level: float = LEVEL) -> Interval:
    """Student's interval of a mean of n independent items that has no least and no largest value.

    It has no bounds where n is 1 or where all items are equal: such items do not show how far others may lie.
    """
    if n < 2 or not error > SAME:
        return Interval(mean, None, None, n)
    half = _quantile(n, level) * error
    return Interval(mean, mean - half, mean + half, n)


def unanimous_error(span: ArrayLike, n: ArrayLike) -> Floats:
    """The standard error to assume of a mean of n items that all say the same; infinite where n is 1.

    span: how far from that value another item may lie. Student's quantile times this error is the reach of
    the rule of three: other items have a share of at most 1 - 0.05^(1/n). Arrays give arrays.
    """
    count = np.asarray(n, float)
    with np.errstate(divide="ignore"):
        reach = np.asarray(span, float) * (1 - (1 - LEVEL) ** (1 / count))
    freedom, place = np.unique(np.maximum(count - 1, 1), return_inverse=True)
    quantile = np.array([student_quantile(float(each), (1 + LEVEL) / 2) for each in freedom])[place]
    return np.where(count < 2, np.inf, reach / quantile.reshape(count.shape))


def share_bounds(mean: float, error: float, n: int, level: float = LEVEL) -> Bounds | None:
    """The bounds of a mean of n independent numbers in [0, 1] with this standard error.

    None where n is 1, because one number does not show a spread. Where all n are equal, other values have a
    share of at most 1 - (1 - level)^(1/n) (the rule of three); each of them can pull the mean towards 0 or 1.
    """
    if n < 2:
        return None
    variance = mean * (1 - mean)
    if error <= SAME or variance == 0:
        reach = 1 - (1 - level) ** (1 / n)
        return Bounds(mean * (1 - reach), mean + (1 - mean) * reach)
    per_n = _quantile(n, level) ** 2 * error**2 / variance  # quantile^2 / n_eff
    centre = (mean + per_n / 2) / (1 + per_n)
    half = float(np.sqrt(per_n * variance + per_n**2 / 4)) / (1 + per_n)
    return Bounds(max(0.0, centre - half), min(1.0, centre + half))


def _quantile(n: int, level: float) -> float:
    """Student's quantile on n - 1 degrees of freedom, two-sided at this level."""
    return student_quantile(n - 1, (1 + level) / 2)
