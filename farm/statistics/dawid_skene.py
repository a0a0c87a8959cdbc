"""Dawid and Skene's (1979) model: each annotator has a confusion matrix, each unit a hidden true category.

Fitted by expectation-maximisation, it weighs good annotators up. Without people to check it against it can
agree on the wrong side, confidently: four weak judges of a hard set fell below chance. So it is fitted only
beside human anchors, and how it fares on them beside the single annotators is part of the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ANCHORS = 30
ITERATIONS = 500
TOLERANCE = 1e-6
SMOOTHING = 0.01  # votes added to each cell, so that no category is impossible
TINY = 1e-300


@dataclass(frozen=True)
class DawidSkene:
    """posterior: (units, 3) of the true category; confusion: (annotators, 3 true, 3 given); prior: (3,)."""

    posterior: Floats
    confusion: Floats
    prior: Floats

    def reliability(self) -> Floats:
        """Per annotator, the chance that it gives the true category: (annotators,)."""
        right: Floats = np.einsum("akk,k->a", self.confusion, self.prior)
        return right


@dataclass(frozen=True)
class Rival:
    """The annotator furthest ahead of the consensus, both on the anchors that it judged (or least behind)."""

    annotator: int
    accuracy: float
    consensus: float


@dataclass(frozen=True)
class Consensus:
    """A fit beside anchors: on how many it was checked, how often it is right on them, and its rival."""

    fit: DawidSkene
    anchors: int
    accuracy: float
    rival: Rival

    @property
    def usable(self) -> bool:
        """Not worse than any annotator alone, on the anchors that it judged."""
        return self.rival.consensus >= self.rival.accuracy


def dawid_skene(
    units: Ints,
    annotators: Ints,
    category: Ints,
    n_units: int,
    n_annotators: int,
    smoothing: float = SMOOTHING,
) -> DawidSkene:
    """Fit by EM from the votes' shares. All arrays (n,); categories 0, 1, 2.

    Several verdicts of an annotator on a unit count as independent. A unit without any has the prior.
    """
    cells = (units, annotators * 3 + category)
    given = sparse.csr_array((np.ones(len(units)), cells), shape=(n_units, n_annotators * 3))
    posterior = given @ np.tile(np.eye(3), (n_annotators, 1))
    judged = posterior.sum(axis=1) > 0
    posterior[judged] /= posterior[judged].sum(axis=1, keepdims=True)
    for _ in range(ITERATIONS):
        prior = posterior[judged].mean(axis=0)
        confusion = np.asarray(given.T @ posterior).reshape(n_annotators, 3, 3) + smoothing  # given, true
        confusion /= confusion.sum(axis=1, keepdims=True)
        log = np.log(np.maximum(prior, TINY)) + given @ np.log(np.maximum(confusion, TINY)).reshape(-1, 3)
        new = np.exp(log - log.max(axis=1, keepdims=True))
        new /= new.sum(axis=1, keepdims=True)
        moved = float(np.abs(new - posterior)[judged].max())
        posterior = new
        if moved < TOLERANCE:
            break
    return DawidSkene(posterior, confusion.transpose(0, 2, 1), prior)


def anchored_consensus(
    units: Ints, annotators: Ints, category: Ints, truth: Ints, n_annotators: int
) -> Consensus:
    """Fit on all units and check on those whose truth is known; truth: (n_units,), -1 where there is none.

    Raises ValueError with fewer than three annotators, fewer than 30 anchored units, or no annotator that
    gave 30 verdicts on them.
    """
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
    fit = dawid_skene(units, annotators, category, len(truth), n_annotators)
    right = fit.posterior.argmax(axis=1) == truth
    places, who = units[on_anchor], annotators[on_anchor]
    rival = _rival(who, category[on_anchor] == truth[places], right[places], n_annotators)
    return Consensus(fit, int(anchored.sum()), float(right[anchored].mean()), rival)


def _rival(who: Ints, hits: NDArray[np.bool_], consensus: NDArray[np.bool_], n_annotators: int) -> Rival:
    """Of those with 30 verdicts on anchors; arrays (n,): whose, whether right, whether the consensus is."""
    total = np.bincount(who, minlength=n_annotators)
    alone = np.bincount(who, hits, minlength=n_annotators) / np.maximum(total, 1)
    beside = np.bincount(who, consensus, minlength=n_annotators) / np.maximum(total, 1)
    ahead = int(np.where(total >= ANCHORS, alone - beside, -np.inf).argmax())
    return Rival(ahead, float(alone[ahead]), float(beside[ahead]))
