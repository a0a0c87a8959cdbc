"""What an annotator rewards: a logistic model of its votes on the differences of the two outputs.

    logit P(first preferred) = sum_k b_k d_k

d_k is the first output's trait less the second's, in standard deviations. There is no intercept: which output
is called the first decides nothing. A tie is half a vote, as in the fractional logit (Papke and Wooldridge
1996). Votes of one instruction are a cluster. The covariance is the sandwich with scores summed by cluster
(Liang and Zeger 1986) times G / (G - 1), and the quantile is Student's on G - 1 degrees of freedom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import student_interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

STEPS = 50
TOLERANCE = 1e-10
LARGEST = 30.0  # a log-odds beyond is as good as infinite
SINGULAR = 1e10  # condition number from which traits are the same
FLAT = 1e-6  # share of a trait in a direction without curvature from which it belongs to it
LEAST = 10  # clusters in which a trait must differ


class Ballot(NamedTuple):
    """Votes (n,) in {0, 0.5, 1}, the differences (n, k) of the outputs, and the cluster (n,) of each vote."""

    votes: Floats
    differences: Floats
    clusters: Ints

    def of_rows(self, chosen: Bools) -> Ballot:
        """Some of the votes."""
        return Ballot(self.votes[chosen], self.differences[chosen], self.clusters[chosen])

    def of_traits(self, chosen: Bools) -> Ballot:
        """All votes, on some of the traits."""
        return self._replace(differences=self.differences[:, chosen])


class TiedTraits(ValueError):
    """Some traits always differ together, so that nobody can tell them apart. traits: their numbers."""

    def __init__(self, traits: Ints) -> None:
        super().__init__("some traits always differ together, so that nobody can tell them apart")
        self.traits = traits


@dataclass(frozen=True)
class TraitFit:
    """Coefficients (k,), and the influence (G, k) of each cluster on them; clusters (G,): their numbers."""

    coefficients: Floats
    influence: Floats
    clusters: Ints

    def interval(self, trait: int) -> Interval:
        """A coefficient with its bounds."""
        return _interval(float(self.coefficients[trait]), self.influence[:, trait])


def estimable(ballot: Ballot) -> Bools:
    """The traits that a model can weigh: (k,).

    A trait has to differ in LEAST clusters, and the votes must not all be for the side that has more of it,
    or all for the side that has less: then its coefficient is infinite.
    """
    found = []
    for column in ballot.differences.T:
        differs = column != 0
        clusters = len(np.unique(ballot.clusters[differs]))
        side = (2 * ballot.votes[differs] - 1) * np.sign(column[differs])
        found.append(clusters >= LEAST and bool((side < 0.5).any() and (side > -0.5).any()))
    return np.array(found, bool)


def _tied(bread: Floats) -> Ints:
    """The traits whose differences are a sum of those of the others, so that the curvature (k, k) is 0."""
    curvature, direction = np.linalg.eigh(bread)
    flat = direction[:, curvature * SINGULAR < curvature.max(initial=0)]
    found: Ints = np.flatnonzero((np.abs(flat) > FLAT).any(1))
    return found


def fit_votes(ballot: Ballot) -> TraitFit:
    """Fit the model by Newton's method. Raises ValueError where a coefficient is infinite or undefined.

    It is TiedTraits where some traits always differ together.
    """
    votes, x, _ = ballot
    own, place = np.unique(ballot.clusters, return_inverse=True)
    if len(own) < LEAST:
        raise ValueError(f"votes on {len(own)} instructions, and at least {LEAST} are needed")
    b = np.zeros(x.shape[1])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ b, -LARGEST, LARGEST)))
        bread = x.T @ (x * (p * (1 - p))[:, None])
        if not b.any() and len(tied := _tied(bread)):
            raise TiedTraits(tied)
        step = np.linalg.pinv(bread) @ (x.T @ (votes - p))
        b = b + step
        if np.abs(step).max(initial=0) < TOLERANCE:
            break
    else:
        raise ValueError("the traits decide every vote, so that their weights have no bounds")
    scores = np.zeros((len(own), x.shape[1]))
    np.add.at(scores, place, x * (votes - p)[:, None])
    influence: Floats = np.asarray(np.linalg.solve(bread, scores.T).T, np.float64)
    return TraitFit(b, influence, own)


def difference(one: TraitFit, other: TraitFit, trait: int) -> Interval:
    """A coefficient of one annotator less that of another, who voted on the same clusters."""
    assert np.array_equal(one.clusters, other.clusters)
    apart = one.influence[:, trait] - other.influence[:, trait]
    return _interval(float(one.coefficients[trait] - other.coefficients[trait]), apart)


def _interval(value: float, influence: Floats) -> Interval:
    groups = len(influence)
    error = float(np.sqrt(groups / (groups - 1) * np.square(influence).sum()))
    return student_interval(value, error, groups)
