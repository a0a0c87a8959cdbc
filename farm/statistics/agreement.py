"""Agreement of judgements: with people, with a gold standard, with each other and with themselves.

A unit is one question. A judgement has a preference in [0, 1]: P(first output preferred). It is NaN where no
verdict could be read. The side of the preference gives one of three categories: 0 second preferred, 1 tie,
2 first preferred. Here a soft preference counts as its side, never as its number. Votes are counts of
categories on a unit: (units, 3). Among the votes of people each person has one, however often they judged
(`one_vote_each`). So whoever leaves a vote out leaves the person out. All agreements are shares in [0, 1].
The definitions follow AlpacaEval's analysis of annotators (Dubois et al. 2023, section 3; Li et al. 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from farm.statistics.bounds import SAME

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

VALUES: Floats = np.array([0.0, 0.5, 1.0])
"""The preference of each category."""
UNREADABLE = -1


def categories(preference: Floats) -> Ints:
    """The category of each preference: 0 second, 1 tie, 2 first, -1 where it is NaN. (n,) -> (n,).

    A mean of preferences that misses one half by rounding alone is a tie.
    """
    lead = preference - 0.5
    side = np.where(np.abs(lead) <= SAME, 0, np.sign(lead))
    return np.where(np.isnan(preference), UNREADABLE, side + 1).astype(np.int64)


def sides(preference: Floats) -> Floats:
    """The preference of each judgement's category, 0, 0.5 or 1; NaN stays NaN. (n,) -> (n,)."""
    category = categories(preference)
    return np.where(category < 0, np.nan, VALUES[category])


class Ballots(NamedTuple):
    """One vote of each voter on each unit: units (m,), voters (m,), category (m,)."""

    units: Ints
    voters: Ints
    category: Ints


def one_vote_each(units: Ints, voters: Ints, category: Ints, n_units: int) -> Ballots:
    """Combine a voter's readable judgements of a unit into one vote: the side of their mean.

    So it is the side that has more of them, a tie where neither has. units (n,): from 0 to n_units - 1.
    voters (n,): numbers from 0. category (n,): as `categories` gives it.
    """
    readable = category >= 0
    cells, own = np.unique(voters[readable] * n_units + units[readable], return_inverse=True)
    lead = np.bincount(own, category[readable] - 1, minlength=len(cells))
    who, where = np.divmod(cells, max(n_units, 1))
    return Ballots(where, who, (np.sign(lead) + 1).astype(np.int64))


def votes(units: Ints, category: Ints, n_units: int) -> Ints:
    """Count the readable verdicts of each unit by category. Returns (n_units, 3).

    units (n,): the unit of each judgement, from 0 to n_units - 1. category (n,): as `categories` gives it.
    """
    readable = category >= 0
    cells = units[readable] * 3 + category[readable]
    return np.bincount(cells, minlength=n_units * 3).reshape(n_units, 3)


def modes(counts: Ints) -> Bools:
    """Mark the categories with the most votes in each row: (n, 3) -> (n, 3) bool.

    Several are marked where they tie, none where nobody voted.
    """
    most: Bools = (counts == over_columns(np.maximum, counts)[:, None]) & (counts > 0)
    return most


def over_columns(operation: np.ufunc, table: NDArray[Any]) -> NDArray[Any]:
    """The sum, or the largest, of each row: (n, k) -> (n,). For few columns, where numpy's own is slow."""
    found: NDArray[Any] = reduce(operation, table.T)
    return found


def agreement_with_mode(preference: Floats, counts: Ints) -> Floats:
    """1 - |side - mode of the votes|, in [0, 1]. preference (n,), counts (n, 3): returns (n,).

    side: the preference of the judgement's category. Where several modes tie, it is the mean over them: the
    expectation if the tie were broken at random. NaN without a preference or without votes.
    """
    chosen = modes(counts)
    score = np.where(chosen, 1 - np.abs(sides(preference)[:, None] - VALUES), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = over_columns(np.add, score) / over_columns(np.add, chosen.astype(np.int64))
    return mean


def others(preference: Floats, counts: Ints) -> Ints:
    """Subtract each judgement from the votes that contain it. preference (n,), counts (n, 3): (n, 3).

    An unreadable judgement is no vote, so nothing is subtracted for it.
    """
    category = categories(preference)
    voted = np.flatnonzero(category >= 0)
    left = counts.copy()
    left[voted, category[voted]] -= 1
    return left


def leave_one_out(preference: Floats, counts: Ints) -> Floats:
    """Agreement of each judgement with the mode of the other votes. preference (n,), counts (n, 3): (n,).

    The votes must contain the judgement. NaN where it is unreadable or the only vote.
    """
    return agreement_with_mode(preference, others(preference, counts))


class Faced(NamedTuple):
    """Votes that a judgement may face: counts (n, 3), and the chance weight (n,) in [0, 1] that it does."""

    weight: Floats
    counts: Ints


def less_one(counts: Ints) -> list[Faced]:
    """The votes without one of them, drawn at random: counts (n, 3) -> one `Faced` per category left out.

    Whoever is not among the voters faces these, as many as a voter faces of the others. A single vote is not
    left out.
    """
    total = counts.sum(axis=1)
    found = []
    for category in range(3):
        left = counts.copy()
        left[(counts[:, category] > 0) & (total > 1), category] -= 1
        found.append(Faced(counts[:, category] / np.maximum(total, 1), left))
    return found


def averaged(faced: Sequence[Faced], score: Callable[[Ints], Floats]) -> tuple[Floats, Floats]:
    """The mean of a score over the votes that may be faced, and the chance that it is defined: (n,), (n,).

    score: (n, 3) counts -> (n,), NaN where it is undefined. The mean is over where it is defined.
    """
    total, weight = np.zeros(len(faced[0].weight)), np.zeros(len(faced[0].weight))
    for each in faced:
        found = score(each.counts)
        known = ~np.isnan(found) & (each.weight > 0)
        total += np.where(known, each.weight * found, 0.0)
        weight += np.where(known, each.weight, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / weight, weight


def agreement_on_equal_footing(preference: Floats, counts: Ints) -> Floats:
    """Agreement of outside judgements with people's votes, one person left out. Returns (n,).

    preference (n,): judgements that are not among the votes. counts (n, 3): the votes. Each vote is left out
    in turn and the agreements are averaged, so that a simulator is compared with as many people as a person
    is in `leave_one_out`. A single vote is not left out. NaN without a preference or without votes.
    """
    return averaged(less_one(counts), lambda faced: agreement_with_mode(preference, faced))[0]


def clear_majority(preference: Floats, counts: Ints) -> Floats:
    """1 where the judgement's category is the only mode of the votes, 0 where it is not. Returns (n,).

    preference (n,), counts (n, 3). NaN where several modes tie, nobody voted or the verdict is unreadable.
    """
    chosen = modes(counts)
    category = categories(preference)
    right = chosen[np.arange(len(chosen)), np.maximum(category, 0)].astype(float)
    return np.where((chosen.sum(axis=1) == 1) & (category >= 0), right, np.nan)


def accuracy(preference: Floats, counts: Ints, unreadable_is_wrong: bool) -> Floats:
    """`clear_majority`, with a rule for unreadable verdicts. preference (n,), counts (n, 3): returns (n,).

    unreadable_is_wrong: an unreadable verdict counts 0 where there is one mode; otherwise it is NaN.
    """
    right = clear_majority(preference, counts)
    missing = np.isnan(preference) & (modes(counts).sum(axis=1) == 1)
    return np.where(missing, 0.0 if unreadable_is_wrong else np.nan, right)


def self_error(units: Ints, preference: Floats, n_units: int) -> Floats:
    """Variance of one annotator: 1 - `leave_one_out` among its own judgements of a unit. Returns (n,).

    units (n,), preference (n,): the annotator's judgements. NaN where it judged the unit only once.
    """
    own = votes(units, categories(preference), n_units)
    return 1 - leave_one_out(preference, own[units])


def error_of_mode(own: Ints, reference: Ints) -> Floats:
    """Bias: |mode of the annotator - mode of the reference|, in [0, 1]. own, reference (n, 3): returns (n,).

    It is the mean over all pairs of modes where several tie. NaN where either side has no vote.
    """
    mine, theirs = modes(own).astype(float), modes(reference).astype(float)
    distance = np.abs(VALUES[:, None] - VALUES)
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = mine.sum(axis=1) * theirs.sum(axis=1)
        error: Floats = np.einsum("ni,ij,nj->n", mine, distance, theirs) / pairs
    return error
