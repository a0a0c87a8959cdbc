"""How raters agree on an ordered scale, such as how much better an output is.

    alpha = 1 - (n - 1) sum_ck o_ck d_ck / sum_ck n_c n_k d_ck
    d_ck  = (sum of n_g for g from c to k - (n_c + n_k) / 2)^2

This is Krippendorff's alpha on the ordinal scale (Krippendorff 2011, *Computing Krippendorff's
alpha-reliability*). o_ck: coincidences of c and k within a unit of m ratings, each pair counted 1 /
(m - 1) times; n_c: their sums. Only the order of values matters, so scales of any number of points may meet.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from farm.statistics.measures import Measure, Span
from farm.statistics.reliability import LEAST, ROUNDING

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def ordinal_alpha_of(units: Ints, values: Floats, n_units: int) -> Measure:
    """Alpha of ratings as a measure over units. units, values (m,): one rating of one rater each."""
    scale, category = np.unique(values, return_inverse=True)
    counts = np.zeros((n_units, len(scale)))
    np.add.at(counts, (units, category), 1)
    total = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(len(scale))
    sums: Floats = (pairs / np.maximum(total - 1, 1)[:, None, None]).reshape(n_units, -1)
    return Measure(sums * (total > 1)[:, None], ordinal_alpha, total > 1, ordinal_alpha_scale, least=LEAST)


def ordinal_alpha(sums: Floats) -> Floats:
    """Alpha of summed coincidences: (..., k * k) -> (...); NaN where all values are equal."""
    found = _square(sums)
    share = found.sum(axis=-1)
    n, apart = share.sum(axis=-1), _apart(share)
    expected = (share[..., :, None] * share[..., None, :] * apart).sum(axis=(-2, -1))
    observed = (found * apart).sum(axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > ROUNDING, 1 - (n - 1) * observed / expected, np.nan)


def ordinal_alpha_scale(sums: Floats) -> Span:
    """The scale of alpha: its value where each pair of ratings is at both ends, and 1. sums (k * k,)."""
    share = _square(sums).sum(axis=-1)
    n, apart = share.sum(), _apart(share)
    span = float((n - 1) * n * apart.max() / (share[:, None] * share[None, :] * apart).sum())
    return Span(1 - span, span)


def _square(sums: Floats) -> Floats:
    size = round(sums.shape[-1] ** 0.5)
    return sums.reshape(*sums.shape[:-1], size, size)


def _apart(share: Floats) -> Floats:
    """d_ck, how far apart two values are by the ratings between them: (..., k) -> (..., k, k)."""
    middle = share.cumsum(axis=-1) - share / 2
    apart: Floats = (middle[..., :, None] - middle[..., None, :]) ** 2
    return apart
