"""Dawid and Skene's model (1979): each annotator has a confusion matrix, each unit a hidden true category.

The fit is by expectation-maximisation and gives good annotators more weight. Without people to check it, the
model can be confident and wrong: with four weak judges of a hard set it fell below chance. So
`anchored_consensus` needs units with a known truth (anchors), and reports how the model and the single
annotators do on them. Categories are those of agreement.py: 0 second preferred, 1 tie, 2 first preferred.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from farm.statistics.agreement import over_columns
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import Told, answer, clustered_error, difference_interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ANCHORS = 30  # the fewest units with a known truth, and the fewest verdicts of a rival on them
ITERATIONS = 500
TOLERANCE = 1e-6
SMOOTHING = 0.01  # votes added to each cell, so that no category is impossible
TINY = 1e-300


@dataclass(frozen=True)
class DawidSkene:
    """A fitted model, all entries probabilities. posterior (units, 3): of the true category; confusion
    (annotators, 3, 3): P(given category | true category), true in rows. prior (3,): of the true category."""

    posterior: Floats
    confusion: Floats
    prior: Floats

    def reliability(self) -> Floats:
        """P(the annotator gives the true category), for each annotator: (annotators,)."""
        right: Floats = np.einsum("akk,k->a", self.confusion, self.prior)
        return right


class Verdicts(NamedTuple):
    """One entry per verdict, (n,) each: its unit, its annotator, and its category 0, 1 or 2."""

    units: Ints
    annotators: Ints
    category: Ints


@dataclass(frozen=True)
class Rival:
    """The annotator with the largest lead over the consensus; the lead may be negative.

    accuracy: the annotator's, on the anchors that it judged. consensus: the model's on the same verdicts.
    """

    annotator: int
    accuracy: float
    consensus: float


@dataclass(frozen=True)
class Consensus:
    """A fit with its check. anchors: how many units have a known truth. accuracy: the model's on them.

    lead: the model's accuracy minus the rival's on the same verdicts, in [-1, 1], with 95 % bounds.
    """

    fit: DawidSkene
    anchors: int
    accuracy: float
    rival: Rival
    lead: Interval

    @property
    def usable(self) -> Told | None:
        """Whether the model is better than every single annotator: "yes", "no" or "not decided"."""
        return answer(self.lead)


def dawid_skene(
    units: Ints,
    annotators: Ints,
    category: Ints,
    n_units: int,
    n_annotators: int,
    smoothing: float = SMOOTHING,
) -> DawidSkene:
    """Fit the model by EM (Dawid and Skene 1979), starting from each unit's vote shares.

    units, annotators, category: (n,), one entry per verdict; categories are 0, 1 and 2. smoothing: votes that
    are added to every cell of a confusion matrix. Several verdicts of an annotator on one unit count as
    independent. The posterior of a unit without verdicts is the prior.
    """
    said = annotators * 3 + category
    posterior = _summed(np.eye(3)[category], units, n_units)
    judged = posterior.sum(axis=1) > 0
    posterior[judged] /= posterior[judged].sum(axis=1, keepdims=True)
    for _ in range(ITERATIONS):
        prior = posterior[judged].mean(axis=0)
        confusion = (
            _summed(posterior[units], said, n_annotators * 3).reshape(-1, 3, 3) + smoothing
        )  # given, true
        confusion /= confusion.sum(axis=1, keepdims=True)
        spoken = np.log(np.maximum(confusion, TINY)).reshape(-1, 3)[said]
        log = np.log(np.maximum(prior, TINY)) + _summed(spoken, units, n_units)
        new = np.exp(log - over_columns(np.maximum, log)[:, None])
        new /= over_columns(np.add, new)[:, None]
        moved = float(np.abs(new - posterior)[judged].max())
        posterior = new
        if moved < TOLERANCE:
            break
    return DawidSkene(posterior, confusion.transpose(0, 2, 1), prior)


def _summed(rows: Floats, group: Ints, n_groups: int) -> Floats:
    """The sums (groups, 3) of the rows (n, 3) of each group."""
    return np.stack([np.bincount(group, column, n_groups) for column in rows.T], axis=1)


def anchored_consensus(
    verdicts: Verdicts, truth: Ints, n_annotators: int, clusters: Ints | None = None
) -> Consensus:
    """Fit the model on all units and check it on the anchors.

    truth (n_units,): the true category, -1 where it is unknown. clusters (n_units,): the cluster of each unit
    in the bounds of the lead, such as its instruction; without them each unit is its own.

    Raises ValueError with fewer than three annotators, fewer than 30 anchors, or no annotator with 30
    verdicts on anchors.
    """
    units, annotators, category = verdicts
    if n_annotators < 3:
        raise ValueError(f"Dawid-Skene needs three annotators or more, not {n_annotators}")
    judged = np.bincount(units, minlength=len(truth)) > 0
    anchored = (truth >= 0) & judged
    if anchored.sum() < ANCHORS:
        raise ValueError(
            f"Dawid-Skene needs at least {ANCHORS} questions that people judged too, to be checked on, and "
            f"there are {int(anchored.sum())}: without anchors it can agree on the wrong side"
        )
    on_anchor = anchored[units]
    if np.bincount(annotators[on_anchor]).max() < ANCHORS:
        raise ValueError(
            f"Dawid-Skene is checked beside single annotators, and none of them gave {ANCHORS} verdicts on "
            "questions that people judged too"
        )
    fit = dawid_skene(units, annotators, category=category, n_units=len(truth), n_annotators=n_annotators)
    right = fit.posterior.argmax(axis=1) == truth
    places, who = units[on_anchor], annotators[on_anchor]
    hits = category[on_anchor] == truth[places]
    rival = _rival(who, hits, right[places], n_annotators)
    mine = who == rival.annotator
    lead = right[places[mine]].astype(float) - hits[mine]
    own = np.unique(places[mine] if clusters is None else clusters[places[mine]], return_inverse=True)[1]
    bounded = difference_interval(float(lead.mean()), clustered_error(lead, own), int(own.max()) + 1)
    accuracy = float(right[anchored].mean())
    return Consensus(fit, int(anchored.sum()), accuracy, rival=rival, lead=bounded)


def _rival(who: Ints, hits: NDArray[np.bool_], consensus: NDArray[np.bool_], n_annotators: int) -> Rival:
    """The best rival among annotators with 30 verdicts on anchors.

    All arrays are (n,), one entry per verdict on an anchor. who: the annotator. hits: it is right.
    consensus: the model is right on this unit.
    """
    total = np.bincount(who, minlength=n_annotators)
    alone = np.bincount(who, hits, minlength=n_annotators) / np.maximum(total, 1)
    beside = np.bincount(who, consensus, minlength=n_annotators) / np.maximum(total, 1)
    ahead = int(np.where(total >= ANCHORS, alone - beside, -np.inf).argmax())
    return Rival(ahead, float(alone[ahead]), float(beside[ahead]))
