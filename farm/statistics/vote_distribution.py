"""Does an annotator judge as variably as people: its votes on a question against the shares of theirs.

On question i an annotator prefers the first output with a chance p_i, a person with a chance q_i; both are
known by a few judgements. A majority hides how sure people are, so the chances themselves are compared:

    Brier   E (p_i - h)^2 = (p_i - q_i)^2 + q_i (1 - q_i)        h: the vote of a person
    KL      q_i log(q_i / p_i) + (1 - q_i) log((1 - q_i) / (1 - p_i))

The mean p̄ of K judgements scatters around p_i by s^2 / K, which is taken off: so the Brier score is that of
p_i, however few judgements tell it (Ferro 2014, fair scores for ensemble forecasts). Its least value,
q_i (1 - q_i), is reached by whoever has people's chances. KL is biased where judgements are few, and infinite
where an annotator was of one mind; p_i is therefore (K p̄ + 1/2) / (K + 1) (Krichevsky and Trofimov 1981).
A tie is half a vote for either output, a soft preference as much as it says.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import rel_entr

from farm.statistics.agreement import VALUES, Floats, Ints


class Shares(NamedTuple):
    """Votes on each of (units,): how many, their mean (NaN: none), their sample variance (NaN below two)."""

    n: Ints
    mean: Floats
    variance: Floats


def shares(units: Ints, preference: Floats, n_units: int) -> Shares:
    """Of judgements (n,); one without a verdict is no vote."""
    told = ~np.isnan(preference)
    place, value = units[told], preference[told]
    sums = (np.bincount(place, value**power, minlength=n_units) for power in (0, 1, 2))
    return _of_sums(*(each.astype(np.float64) for each in sums))


def shares_of_counts(counts: Ints) -> Shares:
    """Of votes by category: (units, 3)."""
    return _of_sums(*((counts * VALUES**power).sum(axis=1).astype(np.float64) for power in (0, 1, 2)))


def _of_sums(count: Floats, total: Floats, squares: Floats) -> Shares:
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        variance = np.where(count > 1, np.maximum(squares - total * mean, 0.0) / (count - 1), np.nan)
    return Shares(count.astype(np.int64), mean, variance)


def brier(annotator: Shares, people: Shares) -> Floats:
    """Of each unit: (units,); NaN below two judgements of the annotator or one of people."""
    among_people = np.where(people.n > 1, people.variance * (people.n - 1) / people.n, 0.0)
    distance = (annotator.mean - people.mean) ** 2 + among_people
    with np.errstate(invalid="ignore", divide="ignore"):
        fair: Floats = distance - annotator.variance / annotator.n
    return fair


def least_brier(people: Shares) -> Floats:
    """The score of an annotator with people's own chances: (units,); NaN below two of them."""
    return people.variance


def divergence(annotator: Shares, people: Shares) -> Floats:
    """KL of people's shares from the annotator's, in nats: (units,); NaN where `brier` is."""
    known = annotator.n > 1
    chance = np.where(known, (annotator.n * annotator.mean + 0.5) / (annotator.n + 1), np.nan)
    found: Floats = rel_entr(people.mean, chance) + rel_entr(1 - people.mean, 1 - chance)
    return found
