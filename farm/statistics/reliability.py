"""Chance-corrected reliability: Krippendorff's alpha, Fleiss' and Cohen's kappa, the effective judges.

Each coefficient is a function of sums over units, so that bootstrap.py can resample it. The scale is nominal
with three categories. counts (n, 3) are votes by category on each unit. All coefficients are at most 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from farm.statistics.measures import Span

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST = 10  # clusters: with 5 the bounds of alpha cover .87 (benchmarks/coverage_audit.py)
ROUNDING = 1e-12  # a chance this near to 1 is 1: weights that are no whole numbers leave rounding errors


def coincidences(counts: Ints, times: Floats | None = None) -> Floats:
    """The sums of each unit that alpha needs: (n, 3) -> (n, 5).

    Columns: votes of each category, agreeing ordered pairs divided by (votes - 1), and votes divided by
    `times`. Units with fewer than two votes have no pairs and are all 0 (Krippendorff 2004, section 11.3).
    times (n,): how often the unit's question stands among the units, 1 where it is not given.
    """
    total = counts.sum(axis=1)
    pairable = total > 1
    agreeing = (counts * (counts - 1)).sum(axis=1) / np.maximum(total - 1, 1)
    distinct = total if times is None else total / times
    sums: Floats = np.column_stack([counts, agreeing, distinct]).astype(np.float64) * pairable[:, None]
    return sums


def krippendorff_alpha(sums: Floats) -> Floats:
    """alpha = 1 - D_o / D_e (Krippendorff 2004) from summed `coincidences`: (..., 5) -> (...).

    NaN where all votes are in one category.
    """
    expected = _expected_disagreement(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = 1 - sums[..., 3] / sums[..., :3].sum(axis=-1)
        return np.where(expected > ROUNDING, 1 - observed / expected, np.nan)


def _expected_disagreement(sums: Floats) -> Floats:
    """D_e: two of the n distinct votes, drawn without putting back, differ. NaN with fewer than two votes."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = sums[..., :3] / sums[..., :3].sum(axis=-1, keepdims=True)
        differ = 1 - (shares**2).sum(axis=-1)
        found: Floats = differ * sums[..., 4] / (sums[..., 4] - 1)
    return found


def alpha_scale(sums: Floats) -> Span:
    """The scale of alpha: 1 - 1 / D_e at no agreement, 1 where all agree. sums (5,)."""
    span = 1 / float(_expected_disagreement(sums))
    return Span(1 - span, span)


def _kappa_scale(chance: float) -> Span:
    """The scale of (A - chance) / (1 - chance)."""
    return Span(-chance / (1 - chance), 1 / (1 - chance))


def pair_agreement(counts: Ints) -> Floats:
    """The agreeing pairs of votes and all pairs of votes, for each unit: (n, 3) -> (n, 2)."""
    total = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1)
    return np.column_stack([agreeing, total * (total - 1)]).astype(np.float64) / 2


class FlipRate(NamedTuple):
    """How often a vote is the wrong way round, and the number of pairs of votes that say so."""

    rate: float
    pairs: int


def flip_rate(counts: Ints) -> FlipRate | None:
    """ε from how often two votes on one unit differ, d = 2 ε (1 − ε): (n, 3) -> ε in [0, ½].

    Ties do not count. It holds where each vote is wrong by chance alone, at one rate. None where no unit has
    two votes.
    """
    decided = counts * np.array([1, 0, 1])
    agreeing, pairs = pair_agreement(decided).sum(axis=0)
    if not pairs:
        return None
    return FlipRate(float(1 - np.sqrt(max(0.0, 2 * agreeing / pairs - 1))) / 2, int(pairs))


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
    chance = _fleiss_chance(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(chance < 1 - ROUNDING, (sums[..., 3] / sums[..., 4] - chance) / (1 - chance), np.nan)


def _fleiss_chance(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        share = sums[..., :3] / sums[..., :3].sum(axis=-1, keepdims=True)
    chance: Floats = (share**2).sum(axis=-1)
    return chance


def fleiss_scale(sums: Floats) -> Span:
    """The scale of Fleiss' kappa. sums (5,)."""
    return _kappa_scale(float(_fleiss_chance(sums)))


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
    chance = _cohen_chance(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = sums[..., [0, 4, 8]].sum(axis=-1) / sums.sum(axis=-1)
        return np.where(chance < 1 - ROUNDING, (observed - chance) / (1 - chance), np.nan)


def _cohen_chance(sums: Floats) -> Floats:
    table = sums.reshape(*sums.shape[:-1], 3, 3)
    with np.errstate(invalid="ignore", divide="ignore"):
        both = (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1)
        chance: Floats = both / table.sum(axis=(-2, -1)) ** 2
    return chance


def cohen_scale(sums: Floats) -> Span:
    """The scale of Cohen's kappa. sums (9,)."""
    return _kappa_scale(float(_cohen_chance(sums)))


def cohen_counts(sums: Floats) -> Floats:
    """The columns of `gwet_sums` for two raters, from `confusion`: (..., 9) -> (..., 6)."""
    table = sums.reshape(*sums.shape[:-1], 3, 3)
    shares = (table.sum(axis=-1) + table.sum(axis=-2)) / 2
    agreed, items = sums[..., [0, 4, 8]].sum(axis=-1), sums.sum(axis=-1)
    found: Floats = np.concatenate([shares, np.stack([agreed, items, items], axis=-1)], axis=-1)
    return found


def gwet_sums(counts: Ints) -> Floats:
    """The sums of each unit that Gwet's AC1 needs: (n, k) -> (n, k + 3).

    Columns: share of each category among the unit's votes, agreeing ordered pairs as a share, 1 where there
    is a pair, 1 where there is a vote (Gwet 2008, eq. 6 to 9; 2014 for missing votes).
    """
    total = counts.sum(axis=1)
    voted, paired = total > 0, total > 1
    shares = counts / np.maximum(total, 1)[:, None]
    agreeing = (counts * (counts - 1)).sum(axis=1) / np.maximum(total * (total - 1), 1)
    sums: Floats = np.column_stack([shares, agreeing * paired, paired, voted]).astype(np.float64)
    return sums


def gwet_ac1(sums: Floats, categories: int) -> Floats:
    """AC1 = (P - P_e) / (1 - P_e), P_e = sum_k s_k (1 - s_k) / (q - 1) (Gwet 2008): (..., k + 3) -> (...).

    s_k: the mean share of category k. categories: q, how many are in use; NaN where it is below 2.
    """
    chance = _gwet_chance(sums, categories)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums[..., -3] / sums[..., -2] - chance) / (1 - chance)


def _gwet_chance(sums: Floats, categories: int) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        share = sums[..., :-3] / sums[..., -1:]
        chance: Floats = (share * (1 - share)).sum(axis=-1) / (categories - 1 if categories > 1 else np.nan)
    return chance


def gwet_scale(sums: Floats, categories: int) -> Span | None:
    """The scale of AC1. sums (k + 3,)."""
    chance = float(_gwet_chance(sums, categories))
    return _kappa_scale(chance) if np.isfinite(chance) else None


def commonest_share(sums: Floats) -> Floats:
    """The share of the commonest category, from summed `gwet_sums`: (..., k + 3) -> (...)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Floats = sums[..., :-3].max(axis=-1) / sums[..., -1]
    return share


def constant_accuracy(sums: Floats) -> Floats:
    """How often the second rater's commonest category comes, from `confusion`: (..., 9) -> (...).

    It is what a rater has who always says the same, and the right one of the three.
    """
    table = sums.reshape(*sums.shape[:-1], 3, 3)
    with np.errstate(invalid="ignore", divide="ignore"):
        best: Floats = table.sum(axis=-2).max(axis=-1) / table.sum(axis=(-2, -1))
    return best


class PanelWorth(NamedTuple):
    """How many independent judges (value) the `judges` judges with varying errors are worth."""

    value: float
    judges: int


def effective_judges(errors: Floats) -> PanelWorth | None:
    """Kish's effective number of independent judges: k / (1 + (k - 1) mean correlation of their errors).

    errors (n, k): 1 where a judge was wrong, 0 where it was right, or a share of wrong verdicts, on units
    that all judged. A negative mean correlation counts as 0, so the result is at most k. Judges whose errors
    never vary are left out and not counted in k; None where fewer than two remain."""
    varied = errors[:, errors.std(axis=0) > 0] if len(errors) > 1 else errors[:, :0]
    k = varied.shape[1]
    if k < 2:
        return None
    correlation = np.corrcoef(varied, rowvar=False)
    mean = (correlation.sum() - k) / (k * (k - 1))
    return PanelWorth(float(k / (1 + (k - 1) * max(mean, 0.0))), k)
