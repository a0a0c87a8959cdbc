"""Chance-corrected reliability: Krippendorff's alpha, Fleiss' and Cohen's kappa; what a panel is worth.

Each coefficient is a function of sums over units, so that the bootstrap of bootstrap.py serves it. Nominal
scale, three categories.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def coincidences(counts: Ints) -> Floats:
    """Per unit, the sums that alpha needs: n_c of each category, and the agreeing pairs over (n - 1): (n, 4).

    Units with fewer than two votes pair nothing and count for nothing (Krippendorff 2004, section 11.3).
    """
    total = counts.sum(axis=1)
    pairable = total > 1
    agreeing = (counts * (counts - 1)).sum(axis=1) / np.maximum(total - 1, 1)
    return np.column_stack([counts * pairable[:, None], agreeing * pairable]).astype(np.float64)


def krippendorff_alpha(sums: Floats) -> Floats:
    """alpha = 1 - D_o / D_e from summed coincidences: (..., 4) -> (...); NaN where all votes are alike."""
    marginals, agreeing = sums[..., :3], sums[..., 3]
    n = marginals.sum(axis=-1)
    observed = n - agreeing
    expected = (n**2 - (marginals**2).sum(axis=-1)) / np.maximum(n - 1, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - observed / expected, np.nan)


def pair_agreement(counts: Ints) -> Floats:
    """Per unit: the pairs of votes that agree, and the pairs: (n, 3) -> (n, 2)."""
    total = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1)
    return np.column_stack([agreeing, total * (total - 1)]).astype(np.float64) / 2


def fleiss_sums(counts: Ints, raters: int) -> Floats:
    """Per unit with this number of votes: votes of each category, P_i, 1: (n, 5); other units give zeros."""
    full = counts.sum(axis=1) == raters
    agreeing = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))
    sums: Floats = np.column_stack([counts, agreeing, np.ones(len(counts))]) * full[:, None]
    return sums


def fleiss_kappa(sums: Floats) -> Floats:
    """kappa = (P - P_e) / (1 - P_e) (Fleiss 1971): (..., 5) -> (...)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share = sums[..., :3] / sums[..., :3].sum(axis=-1, keepdims=True)
        chance = (share**2).sum(axis=-1)
        return np.where(chance < 1, (sums[..., 3] / sums[..., 4] - chance) / (1 - chance), np.nan)


def confusion(a: Ints, b: Ints) -> Floats:
    """Per row the cell of the 3x3 table (a's category, b's) as one of nine columns: (n,), (n,) -> (n, 9)."""
    cells = np.zeros((len(a), 9))
    both = (a >= 0) & (b >= 0)
    cells[np.flatnonzero(both), a[both] * 3 + b[both]] = 1
    return cells


def cohen_kappa(sums: Floats) -> Floats:
    """kappa from a summed table of nine cells (Cohen 1960): (..., 9) -> (...)."""
    table = sums.reshape(*sums.shape[:-1], 3, 3)
    n = table.sum(axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.trace(table, axis1=-2, axis2=-1) / n
        chance = (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1) / n**2
        return np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)


def effective_judges(errors: Floats) -> float | None:
    """Kish's effective number of independent judges: k / (1 + (k - 1) mean correlation of their errors).

    Errors that avoid each other count as independent: never more than k.
    errors: (n, k), 1 where a judge was wrong, on units that all judged. None with fewer than two judges that
    are sometimes wrong and sometimes right.
    """
    varied = errors[:, errors.std(axis=0) > 0] if len(errors) > 1 else errors[:, :0]
    k = varied.shape[1]
    if k < 2:
        return None
    correlation = np.corrcoef(varied, rowvar=False)
    mean = (correlation.sum() - k) / (k * (k - 1))
    return float(k / (1 + (k - 1) * max(mean, 0.0)))
