"""Chance-corrected reliability: Krippendorff's alpha, Fleiss' and Cohen's kappa, the effective judges.

Each coefficient is a function of sums over units, so that bootstrap.py can resample it. The scale is nominal
with three categories. counts (n, 3) are votes by category on each unit. All coefficients are at most 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def coincidences(counts: Ints) -> Floats:
    """The sums of each unit that alpha needs: (n, 3) -> (n, 4).

    Columns: votes of each category, and agreeing ordered pairs divided by (votes - 1). Units with fewer than
    two votes have no pairs and are all 0 (Krippendorff 2004, section 11.3).
    """
    total = counts.sum(axis=1)
    pairable = total > 1
    agreeing = (counts * (counts - 1)).sum(axis=1) / np.maximum(total - 1, 1)
    return np.column_stack([counts * pairable[:, None], agreeing * pairable]).astype(np.float64)


def krippendorff_alpha(sums: Floats) -> Floats:
    """alpha = 1 - D_o / D_e (Krippendorff 2004) from summed `coincidences`: (..., 4) -> (...).

    NaN where all votes are in one category.
    """
    marginals, agreeing = sums[..., :3], sums[..., 3]
    n = marginals.sum(axis=-1)
    observed = n - agreeing
    expected = (n**2 - (marginals**2).sum(axis=-1)) / np.maximum(n - 1, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - observed / expected, np.nan)


def pair_agreement(counts: Ints) -> Floats:
    """The agreeing pairs of votes and all pairs of votes, for each unit: (n, 3) -> (n, 2)."""
    total = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1)
    return np.column_stack([agreeing, total * (total - 1)]).astype(np.float64) / 2


def fleiss_sums(counts: Ints, raters: int) -> Floats:
    """The sums of each unit that Fleiss' kappa needs: (n, 3) -> (n, 5).

    Columns: votes of each category, P_i (share of agreeing pairs), and 1. Units whose number of votes is not
    `raters` are all 0. raters: 2 or more.
    """
    full = counts.sum(axis=1) == raters
    agreeing = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))
    sums: Floats = np.column_stack([counts, agreeing, np.ones(len(counts))]) * full[:, None]
    return sums


def fleiss_kappa(sums: Floats) -> Floats:
    """kappa = (P - P_e) / (1 - P_e) (Fleiss 1971) from summed `fleiss_sums`: (..., 5) -> (...).

    NaN where all votes are in one category.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share = sums[..., :3] / sums[..., :3].sum(axis=-1, keepdims=True)
        chance = (share**2).sum(axis=-1)
        return np.where(chance < 1, (sums[..., 3] / sums[..., 4] - chance) / (1 - chance), np.nan)


def confusion(a: Ints, b: Ints) -> Floats:
    """Mark the cell (a's category, b's category) of a 3 x 3 table in each row: (n,), (n,) -> (n, 9).

    A row is all 0 where a or b is negative (unreadable).
    """
    cells = np.zeros((len(a), 9))
    both = (a >= 0) & (b >= 0)
    cells[np.flatnonzero(both), a[both] * 3 + b[both]] = 1
    return cells


def cohen_kappa(sums: Floats) -> Floats:
    """Cohen's kappa (1960) from summed `confusion`: (..., 9) -> (...).

    NaN for an empty table, or where both always use the same category.
    """
    table = sums.reshape(*sums.shape[:-1], 3, 3)
    n = table.sum(axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.trace(table, axis1=-2, axis2=-1) / n
        chance = (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1) / n**2
        return np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)


def effective_judges(errors: Floats) -> float | None:
    """Kish's effective number of independent judges: k / (1 + (k - 1) mean correlation of their errors).

    errors (n, k): 1 where a judge was wrong, 0 where it was right, or a share of wrong verdicts, on units
    that all judged. A negative mean correlation counts as 0, so the result is at most k. Judges whose errors
    never vary are left out; None where fewer than two remain."""
    varied = errors[:, errors.std(axis=0) > 0] if len(errors) > 1 else errors[:, :0]
    k = varied.shape[1]
    if k < 2:
        return None
    correlation = np.corrcoef(varied, rowvar=False)
    mean = (correlation.sum() - k) / (k * (k - 1))
    return float(k / (1 + (k - 1) * max(mean, 0.0)))
