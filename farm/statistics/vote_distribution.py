"""Does an annotator vary as people do? Its shares of votes on each question are compared with people's.

On question i an annotator prefers the first output with probability p_i, and a person with probability q_i.
Both are estimated from a few judgements. A majority vote hides how sure people are, so the probabilities
themselves are compared:

    Brier   E (p_i - h)^2 = (p_i - q_i)^2 + q_i (1 - q_i)        h: the vote of a person
    KL      q_i log(q_i / p_i) + (1 - q_i) log((1 - q_i) / (1 - p_i))

The mean p̄ of K judgements has the sampling variance s^2 / K around p_i. It is subtracted, so that the Brier
score has no bias from a small K (Ferro 2014, fair scores for ensemble forecasts). The least Brier score,
q_i (1 - q_i), belongs to an annotator with p_i = q_i. KL has a bias where K is small, and would be infinite
where all K judgements are equal. Its p_i is therefore estimated by (K p̄ + 1/2) / (K + 1) (Krichevsky and
Trofimov 1981). A tie is half a vote for each output. The annotator's soft preferences
count as their number, since a chance is what they tell; each person has one vote.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from farm.statistics.agreement import VALUES, Floats, Ints


class Shares(NamedTuple):
    """Votes on each unit, (units,) each. n: how many. mean: their mean in [0, 1], NaN without a vote.
    variance: their sample variance (ddof 1), NaN below two votes."""

    n: Ints
    mean: Floats
    variance: Floats


def shares(units: Ints, preference: Floats, n_units: int) -> Shares:
    """The shares of n_units units from judgements. units (n,): from 0 to n_units - 1. preference (n,): in
    [0, 1], NaN without a verdict, which is no vote."""
    told = ~np.isnan(preference)
    place, value = units[told], preference[told]
    sums = (np.bincount(place, value**power, minlength=n_units) for power in (0, 1, 2))
    return _of_sums(*(each.astype(np.float64) for each in sums))


def shares_of_counts(counts: Ints) -> Shares:
    """The shares from counts of votes by category: (units, 3)."""
    return _of_sums(*((counts * VALUES**power).sum(axis=1).astype(np.float64) for power in (0, 1, 2)))


def _of_sums(count: Floats, total: Floats, squares: Floats) -> Shares:
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        variance = np.where(count > 1, np.maximum(squares - total * mean, 0.0) / (count - 1), np.nan)
    return Shares(count.astype(np.int64), mean, variance)


def brier(annotator: Shares, people: Shares) -> Floats:
    """The Brier score of each unit without bias (Ferro 2014): (units,), in squared probability.

    NaN below two judgements of the annotator or one of people. It can be slightly negative by chance.
    """
    among_people = np.where(people.n > 1, people.variance * (people.n - 1) / people.n, 0.0)
    distance = (annotator.mean - people.mean) ** 2 + among_people
    with np.errstate(invalid="ignore", divide="ignore"):
        fair: Floats = distance - annotator.variance / annotator.n
    return fair


def least_brier(people: Shares) -> Floats:
    """The Brier score of an annotator with p_i = q_i, unbiased: (units,). NaN below two votes of people."""
    return people.variance


def divergence(annotator: Shares, people: Shares) -> Floats:
    """KL from people's shares to the annotator's, in nats: (units,). NaN where `brier` is NaN."""
    known = annotator.n > 1
    chance = np.where(known, (annotator.n * annotator.mean + 0.5) / (annotator.n + 1), np.nan)
    return _part(people.mean, chance) + _part(1 - people.mean, 1 - chance)


def _part(share: Floats, chance: Floats) -> Floats:
    """share ln(share / chance), which is 0 at a share of 0."""
    found: Floats = share * np.log(np.where(share == 0, 1.0, share) / chance)
    return found
