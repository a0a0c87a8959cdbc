"""R^2 with its interval: the share of the variance of one number that a line in another explains.

R^2 is the square of Pearson's r. z = artanh r is nearer to a normal distribution than r (Fisher 1921). Its
error is the jackknife's over G clusters (Efron and Stein 1981), with Student's quantile on G - 1 degrees of
freedom. The bounds of R^2 are the least and the largest square between the bounds of r, so a correlation of
either sign that may be 0 has the lower bound 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from farm.statistics.bootstrap import LEVEL, Interval
from farm.statistics.bounds import SAME
from farm.statistics.student import student_quantile

Floats = NDArray[np.float64]


def explained(values: ArrayLike, by: ArrayLike, clusters: ArrayLike) -> Interval:
    """R^2 of values (n,) on another number (n,), with its 95 % interval. clusters (n,): of each pair of them.

    n of the interval is the number of clusters. No value where one of the numbers does not vary; no bounds
    with fewer than three clusters, and where some or all clusters lie on a line. Raises ValueError on a
    number that is not finite.
    """
    x, y = np.asarray(values, float), np.asarray(by, float)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("R^2 needs finite numbers: leave out what has none")
    place = np.unique(np.asarray(clusters), return_inverse=True)[1]
    groups = int(place.max()) + 1 if len(x) else 0
    if groups < 2:
        return Interval(None, None, None, groups)
    x, y = x - x.mean(), y - y.mean()
    sums = np.stack([np.bincount(place, each) for each in (np.ones_like(x), x, y, x * x, y * y, x * y)])
    whole = sums.sum(1, keepdims=True)
    value = float(_correlation(whole)[0])
    if np.isnan(value):
        return Interval(None, None, None, groups)
    without = _correlation(whole - sums)
    if groups < 3 or not (np.abs(np.append(without, value)) < 1 - SAME).all():
        return Interval(value**2, None, None, groups)
    z = np.arctanh(without)
    error = float(np.sqrt((groups - 1) / groups * np.square(z - z.mean()).sum()))
    half = student_quantile(groups - 1, (1 + LEVEL) / 2) * error
    if error <= SAME:
        return Interval(value**2, None, None, groups)
    low, high = np.tanh(np.arctanh(value) + np.array([-half, half]))
    least = 0.0 if low <= 0 <= high else float(min(low**2, high**2))
    return Interval(value**2, least, float(max(low**2, high**2)), groups)


def _correlation(sums: Floats) -> Floats:
    """Pearson's r of sums (6, k) of 1, x, y, x^2, y^2 and xy: (k,), NaN where x or y does not vary."""
    n, x, y, xx, yy, xy = sums
    spread = (xx - x * x / n) * (yy - y * y / n)
    level = SAME * xx * yy
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (xy - x * y / n) / np.sqrt(np.maximum(spread, 0))
    return np.where(spread > level, np.clip(found, -1, 1), np.nan)
