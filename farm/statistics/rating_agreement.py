"""Numbers that raters gave to outputs, each judged alone: how they agree on the same output.

    alpha = 1 - D_o / D_e,   D_o = 1/n sum_u 1/(m_u - 1) sum_{i != j} (x_ui - x_uj)^2,
                             D_e = 1/(n (n - 1)) sum over all pairs of the n ratings of (x - x')^2

This is Krippendorff's alpha on the interval scale (Krippendorff 2004, chapter 11). m_u: ratings of output u,
of which there are two or more; n: their sum. Ratings are in [0, 1]. Each rater has one rating of an output.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from farm.statistics.measures import Measure, Span, ratio
from farm.statistics.reliability import LEAST, ROUNDING

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Ratings(NamedTuple):
    """One rating of each rater of each output, (m,) each: outputs and raters by number, labels in [0, 1]."""

    outputs: Ints
    raters: Ints
    labels: Floats


def one_rating_each(outputs: Ints, raters: Ints, labels: Floats) -> Ratings:
    """Combine what a rater said of an output several times into its mean. All (n,), numbered from 0."""
    n_outputs = int(outputs.max(initial=0)) + 1
    cells, own = np.unique(raters * n_outputs + outputs, return_inverse=True)
    mean = np.bincount(own, labels, minlength=len(cells)) / np.bincount(own, minlength=len(cells))
    who, where = np.divmod(cells, n_outputs)
    return Ratings(where, who, mean)


def alpha_of(given: Ratings, n_outputs: int) -> Measure:
    """Krippendorff's alpha over n_outputs outputs, as a measure with bounds."""
    sums = _sums(given, n_outputs)
    return Measure(sums, interval_alpha, sums[:, 0] > 0, interval_alpha_scale, least=LEAST)


def difference_of(given: Ratings, n_outputs: int) -> Measure:
    """The mean difference |x - x'| of two raters of one output, all pairs alike, as a measure with bounds."""
    order = np.lexsort((given.labels, given.outputs))
    where, labels = given.outputs[order], given.labels[order]
    count = np.bincount(where, minlength=n_outputs)
    place = np.arange(len(where)) - (np.cumsum(count) - count)[where]  # in its output, from the least
    total = np.bincount(where, (2 * place - count[where] + 1) * labels, minlength=n_outputs)
    pairs = count * (count - 1) / 2
    return Measure(np.column_stack([np.maximum(total, 0.0), pairs]), ratio, count > 1)


def _sums(given: Ratings, n_outputs: int) -> Floats:
    """The sums of each output: m, sum x, sum x^2, and its part of n D_o. (n_outputs, 4), 0 where m < 2."""
    count = np.bincount(given.outputs, minlength=n_outputs)
    total = np.bincount(given.outputs, given.labels, minlength=n_outputs)
    square = np.bincount(given.outputs, given.labels**2, minlength=n_outputs)
    apart = 2 * np.maximum(count * square - total**2, 0.0) / np.maximum(count - 1, 1)
    sums: Floats = np.column_stack([count, total, square, apart]).astype(np.float64) * (count > 1)[:, None]
    return sums


def interval_alpha(sums: Floats) -> Floats:
    """alpha of summed parts: (..., 4) -> (...); NaN where all ratings are equal."""
    expected = _expected(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > ROUNDING, 1 - sums[..., 3] / sums[..., 0] / expected, np.nan)


def _expected(sums: Floats) -> Floats:
    """D_e; NaN with fewer than two ratings."""
    count, total, square = sums[..., 0], sums[..., 1], sums[..., 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = 2 * (count * square - total**2) / (count * (count - 1))
    return found


def interval_alpha_scale(sums: Floats) -> Span:
    """The scale of alpha: 1 - 1 / D_e where raters are as far apart as they can be, 1 where they agree."""
    span = 1 / float(_expected(sums))
    return Span(1 - span, span)
