"""Prediction-powered win rates: few human labels and many simulated ones give one valid, narrower interval.

PPI++ for a mean (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453). People judged n pairs (Y) and the
judge did too (F). The judge also saw N more pairs:

    theta = mean(Y) + lambda (mean_N(F) - mean_n(F)),    lambda = cov(Y, F) / ((1 + n / N) var(F)) in [0, 1]

The interval is valid for any judge: a bad one gets lambda near 0. A failed judgement counts as a tie, so that
no pair leaves the study. Where pairs had unequal chances of a human label (`label_budget.label_next`), labels
are weighted by the inverse of the chance (Zrnic and Candes 2024, arXiv 2403.03208).

Errors are clustered by instruction with the factor G / (G - 1), where G is the number of instructions with a
human label. The interval is Wilson's with Student's quantile on G - 1 degrees of freedom, as for every win
rate (farm/statistics/win_rates.py).

A judge that is no better than the models it judges cannot save more than half of the human labels (Dorner,
Nastl and Hardt 2024, arXiv 2410.13341). So the standard error is never below that of the labels alone divided
by sqrt(2), and the reported effective labels are at most twice the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import share_interval
from farm.statistics.win_rates import as_preferences, codes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LARGEST_GAIN = 2.0
FEWEST_LABELS = 10


@dataclass(frozen=True, slots=True)
class PredictionPowered:
    """The win rate that people would give, a share in [0, 1], estimated from their labels and a judge's."""

    value: float
    interval: Interval
    standard_error: float
    human_only: Interval  # from the human labels alone
    power: float  # lambda: 0 ignores the judge
    effective_labels: float  # human labels that alone would give this error; at most 2 n
    n: int  # pairs with a human label
    n_instructions: int  # with a human label; the n of both intervals
    n_unlabelled: int
    n_failed: int  # judgements of the judge that failed and count as ties


class Labels(NamedTuple):
    """Preferences on the same T pairs."""

    human: Floats  # (T,), NaN where nobody was asked
    judge: Floats  # (T,), NaN where it failed


class Design(NamedTuple):
    """Two estimates of one win rate: with the judge, and from human labels alone.

    An influence is a pair's contribution to the error of the estimate.
    """

    value: float
    influence: Floats  # (T,)
    alone: float  # from the human labels alone
    alone_influence: Floats  # (T,), 0 where there is no human label
    power: float


def prediction_powered_win_rate(
    human: ArrayLike,
    judge: ArrayLike,
    instructions: ArrayLike | None = None,
    *,
    inclusion: ArrayLike | None = None,
    power: float | None = None,
) -> PredictionPowered:
    """Estimate the win rate that people would give over the whole pool, with a 95 % interval.

    human (T,): P(model preferred) by people, NaN where nobody was asked. judge (T,): the judge's preference
    on the same pairs, NaN where it failed. instructions (T,): clusters. inclusion (T,): each pair's
    probability of a human label, in (0, 1]; without it all pairs had the same. power: lambda, estimated if
    not given.

    Raises ValueError with fewer than ten human labels, with labels of one instruction alone, with equal
    labels, with a preference outside [0, 1], or with an inclusion outside (0, 1].
    """
    people, simulated = paired_labels(human, judge)
    n_failed, simulated = int(np.isnan(simulated).sum()), np.nan_to_num(simulated, nan=0.5)
    clusters = codes(instructions, len(people))
    labelled = ~np.isnan(people)
    require_spread(people[labelled])
    if inclusion is None:
        design = _equal_chances(people, simulated, power)
    else:
        chances = np.asarray(inclusion, float)
        design = _unequal_chances(people, simulated, inclusion=chances, clusters=clusters, power=power)
    n, groups = int(labelled.sum()), len(np.unique(clusters[labelled]))
    if groups < 2:
        raise ValueError(f"all {n} human labels are of one instruction: label others too")
    factor = float(np.sqrt(groups / (groups - 1)))
    alone_error = factor * float(np.linalg.norm(np.bincount(clusters, design.alone_influence)))
    error = factor * float(np.linalg.norm(np.bincount(clusters, design.influence)))
    error = max(error, alone_error / float(np.sqrt(LARGEST_GAIN)))
    value = float(np.clip(design.value, 0, 1))
    return PredictionPowered(
        value=value,
        interval=share_interval(value, error, groups),
        standard_error=error,
        human_only=share_interval(design.alone, alone_error, groups),
        power=design.power,
        effective_labels=n * min((alone_error / error) ** 2, LARGEST_GAIN),
        n=n,
        n_instructions=groups,
        n_unlabelled=len(people) - n,
        n_failed=n_failed,
    )


def paired_labels(human: ArrayLike, judge: ArrayLike) -> Labels:
    """Both label sets as floats (T,). Raises ValueError for unequal shapes or values outside [0, 1]."""
    people, simulated = as_preferences(human), as_preferences(judge)
    if people.shape != simulated.shape or people.ndim != 1:
        raise ValueError(
            f"human labels {people.shape} and simulated ones {simulated.shape}: give one of each per pair, "
            "NaN where there is none"
        )
    return Labels(people, simulated)


def require_spread(labels: Floats) -> None:
    """Raise ValueError where labels (n,) are fewer than ten or all equal: their variance is not known."""
    if len(labels) < FEWEST_LABELS:
        raise ValueError(f"{FEWEST_LABELS} human labels or more are needed, not {len(labels)}")
    if labels.min() == labels.max():
        raise ValueError(
            f"all {len(labels)} human labels are {labels[0]:g}, so their spread is unknown; add some"
        )


def _equal_chances(people: Floats, judge: Floats, power: float | None) -> Design:
    """PPI++ where the labelled pairs are a simple random sample of the pool."""
    labelled = ~np.isnan(people)
    n, rest = int(labelled.sum()), int((~labelled).sum())
    human, seen, unseen = people[labelled], judge[labelled], judge[~labelled]
    if not rest:
        power = 0.0
    elif power is None:
        power = _best_power(human, seen, unseen)
    alone = float(human.mean())
    alone_influence, influence = np.zeros(len(people)), np.zeros(len(people))
    alone_influence[labelled] = (human - alone) / n
    influence[labelled] = alone_influence[labelled] - power * (seen - seen.mean()) / n
    if rest:
        influence[~labelled] = power * (unseen - unseen.mean()) / rest
    moved = power * (unseen.mean() - seen.mean()) if rest else 0.0
    return Design(
        value=alone + float(moved),
        influence=influence,
        alone=alone,
        alone_influence=alone_influence,
        power=power,
    )


def _best_power(human: Floats, seen: Floats, unseen: Floats) -> float:
    """PPI++'s lambda for a mean (Angelopoulos et al. 2023, section 6); the judge's variance is pooled."""
    spread = float(np.concatenate([seen, unseen]).var(ddof=1))
    if spread <= 1e-24:
        return 0.0
    together = float(((human - human.mean()) * (seen - seen.mean())).mean())
    return float(np.clip(together / ((1 + len(seen) / len(unseen)) * spread), 0, 1))


def _unequal_chances(
    people: Floats, judge: Floats, inclusion: Floats, clusters: Ints, power: float | None
) -> Design:
    """Inverse-probability weights; lambda is the value with the least estimated error."""
    if len(inclusion) != len(people) or not ((inclusion > 0) & (inclusion <= 1)).all():
        raise ValueError("inclusion is every pair's chance of being labelled, above 0 and at most 1")
    labelled = ~np.isnan(people)
    weight = np.where(labelled, 1 / inclusion, 0)
    weight /= weight.sum()
    known = np.where(labelled, people, 0)
    alone, seen = float(weight @ known), float(weight @ judge)
    of_people = weight * (known - alone)
    of_judge = weight * (judge - seen) - (judge - judge.mean()) / len(judge)
    if power is None:
        sums, other = np.bincount(clusters, of_judge), np.bincount(clusters, of_people)
        scale = float(sums @ sums)
        power = 0.0 if scale <= 1e-24 else float(np.clip(sums @ other / scale, 0, 1))
    value = alone - power * (seen - float(judge.mean()))
    return Design(
        value=value,
        influence=of_people - power * of_judge,
        alone=alone,
        alone_influence=of_people,
        power=power,
    )
