"""How far judgements agree: with people, with a gold standard, with each other and with themselves.

A judgement has a preference in [0, 1], NaN where no verdict could be read, and falls into one of three
categories: second preferred, tie, first preferred. Votes are counts of categories on one unit, (n, 3).
Definitions after AlpacaEval's analysis of annotators (Dubois et al. 2023, section 3; Li et al. 2023).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

VALUES: Floats = np.array([0.0, 0.5, 1.0])
"""The preference that a category stands for."""
UNREADABLE = -1


def categories(preference: Floats) -> Ints:
    """0 second preferred, 1 tie, 2 first preferred, -1 unreadable: (n,) -> (n,)."""
    return np.where(np.isnan(preference), UNREADABLE, np.sign(preference - 0.5) + 1).astype(np.int64)


def votes(units: Ints, category: Ints, n_units: int) -> Ints:
    """Readable verdicts by category on each unit: (n,), (n,) -> (n_units, 3)."""
    readable = category >= 0
    cells = units[readable] * 3 + category[readable]
    return np.bincount(cells, minlength=n_units * 3).reshape(n_units, 3)


def modes(counts: Ints) -> Bools:
    """Which categories have the most votes, several where they tie, none where nobody voted: (n, 3)."""
    most: Bools = (counts == counts.max(axis=1, keepdims=True)) & (counts > 0)
    return most


def agreement_with_mode(preference: Floats, counts: Ints) -> Floats:
    """1 - |preference - mode|, the mean over the modes where there are several: (n,), (n, 3) -> (n,).

    The mean is the expectation of a tie broken at random. NaN without a preference or without votes.
    """
    chosen = modes(counts)
    score = np.where(chosen, 1 - np.abs(preference[:, None] - VALUES), 0.0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = score / chosen.sum(axis=1)
    return mean


def others(preference: Floats, counts: Ints) -> Ints:
    """The votes less the judgement that is among them, (n,), (n, 3) -> (n, 3); an unreadable one is not."""
    category = categories(preference)
    voted = np.flatnonzero(category >= 0)
    left = counts.copy()
    left[voted, category[voted]] -= 1
    return left


def leave_one_out(preference: Floats, counts: Ints) -> Floats:
    """Agreement of judgements that are among the votes with the mode of the others: (n,), (n, 3) -> (n,).

    NaN for an unreadable one, and for one that stands alone.
    """
    return agreement_with_mode(preference, others(preference, counts))


def agreement_on_equal_footing(preference: Floats, counts: Ints) -> Floats:
    """Agreement of outside judgements with the votes less one, the mean over which is left out.

    So a simulator faces as many people as each of the people does. A single vote is faced as it is.
    """
    total = counts.sum(axis=1)
    score = np.zeros(len(preference))
    for category in range(3):
        has = counts[:, category] > 0
        left = counts.copy()
        left[has, category] -= 1
        faced = np.where(total[:, None] > 1, left, counts)
        each = agreement_with_mode(preference, faced)
        score += np.where(has, counts[:, category] * each, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, score / total, np.nan)


def clear_majority(preference: Floats, counts: Ints) -> Floats:
    """1 where the judgement's category is the one mode of the votes, 0 where another is; NaN without one."""
    chosen = modes(counts)
    category = categories(preference)
    right = chosen[np.arange(len(chosen)), np.maximum(category, 0)].astype(float)
    return np.where((chosen.sum(axis=1) == 1) & (category >= 0), right, np.nan)


def accuracy(preference: Floats, counts: Ints, unreadable_is_wrong: bool) -> Floats:
    """As clear_majority, with an unreadable verdict counted as wrong, or left out (NaN)."""
    right = clear_majority(preference, counts)
    missing = np.isnan(preference) & (modes(counts).sum(axis=1) == 1)
    return np.where(missing, 0.0 if unreadable_is_wrong else np.nan, right)


def self_error(units: Ints, preference: Floats, n_units: int) -> Floats:
    """1 - leave-one-out agreement of one annotator's judgements with its own others on the unit: variance."""
    own = votes(units, categories(preference), n_units)
    return 1 - leave_one_out(preference, own[units])


def error_of_mode(own: Ints, reference: Ints) -> Floats:
    """|mode of the annotator - mode of the reference|, the mean over modes: (n, 3), (n, 3) -> (n,). Bias."""
    mine, theirs = modes(own).astype(float), modes(reference).astype(float)
    distance = np.abs(VALUES[:, None] - VALUES)
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = mine.sum(axis=1) * theirs.sum(axis=1)
        error: Floats = np.einsum("ni,ij,nj->n", mine, distance, theirs) / pairs
    return error
