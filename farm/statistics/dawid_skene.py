"""Dawid and Skene's (1979) model: each annotator has a confusion matrix, each unit a hidden true category.

Fitted by expectation-maximisation, it weighs good annotators up. Without people to check it against it can
agree on the wrong side, confidently: four weak judges of a hard set fell below chance. So it is fitted only
beside human anchors, and its own accuracy on them is part of the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ANCHORS = 30
ITERATIONS = 200
TOLERANCE = 1e-7
SMOOTHING = 0.01  # votes added to each cell, so that no category is impossible


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
class Consensus:
    """A fit beside anchors: how often its consensus, and the best single annotator, is right on them."""

    fit: DawidSkene
    anchors: int
    accuracy: float
    best_single: float

    @property
    def usable(self) -> bool:
        """Not worse on the anchors than the best annotator alone."""
        return self.accuracy >= self.best_single


def dawid_skene(units: Ints, annotators: Ints, category: Ints, n_units: int, n_annotators: int) -> DawidSkene:
    """Fit by EM from the majority's shares. All arrays (n,); categories 0, 1, 2."""
    counts = np.zeros((n_units, 3))
    np.add.at(counts, (units, category), 1)
    posterior = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    confusion, prior = np.empty((n_annotators, 3, 3)), np.empty(3)
    for _ in range(ITERATIONS):
        prior = posterior.mean(axis=0)
        confusion[:] = SMOOTHING
        np.add.at(confusion.transpose(0, 2, 1), (annotators, category), posterior[units])
        confusion /= confusion.sum(axis=2, keepdims=True)
        log = np.zeros((n_units, 3)) + np.log(np.maximum(prior, 1e-300))
        np.add.at(log, units, np.log(confusion[annotators, :, category]))
        log -= log.max(axis=1, keepdims=True)
        new = np.exp(log)
        new /= new.sum(axis=1, keepdims=True)
        moved = float(np.abs(new - posterior).max())
        posterior = new
        if moved < TOLERANCE:
            break
    return DawidSkene(posterior, confusion.copy(), prior)


def anchored_consensus(
    units: Ints, annotators: Ints, category: Ints, truth: Ints, n_annotators: int
) -> Consensus:
    """Fit on all units and check on those whose truth is known; truth: (n_units,), -1 where there is none.

    Raises ValueError with fewer than 30 anchored units or fewer than three annotators.
    """
    judged = np.zeros(len(truth), dtype=bool)
    judged[units] = True
    anchored = (truth >= 0) & judged
    if anchored.sum() < ANCHORS:
        raise ValueError(
            f"Dawid-Skene needs at least {ANCHORS} questions that people judged too, to be checked on, and "
            f"there are {int(anchored.sum())}: without anchors it can agree on the wrong side"
        )
    if n_annotators < 3:
        raise ValueError(f"Dawid-Skene needs three annotators or more, not {n_annotators}")
    fit = dawid_skene(units, annotators, category, len(truth), n_annotators)
    right = fit.posterior.argmax(axis=1)[anchored] == truth[anchored]
    on_anchor = anchored[units]
    hits = category[on_anchor] == truth[units[on_anchor]]
    total = np.bincount(annotators[on_anchor], minlength=n_annotators)
    good = np.bincount(annotators[on_anchor], hits, minlength=n_annotators)
    enough = total >= ANCHORS
    best = float((good[enough] / total[enough]).max()) if enough.any() else float("nan")
    return Consensus(fit, int(anchored.sum()), float(right.mean()), best)
