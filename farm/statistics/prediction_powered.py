"""Prediction-powered win rates: few human labels and many simulated ones give one valid, narrower interval.

PPI++ for a mean (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453): with n pairs that people judged (Y)
and the judge too (F), and N more pairs that only the judge saw,

    theta = mean(Y) + lambda (mean_N(F) - mean_n(F)),    lambda = cov(Y, F) / ((1 + n / N) var(F)) in [0, 1]

It is valid for any judge, good or bad: a bad one gets lambda near 0. A judgement that failed is taken as a
tie, so that no pair leaves the study. Labels that were not chosen with equal chances
(`label_budget.label_next`) are weighed by the inverse of their chances (Zrnic and Candes 2024, arXiv
2403.03208).

No judge that is at most as good as the models it judges can save more than half of the human labels (Dorner,
Nastl and Hardt 2024, arXiv 2410.13341): effective labels are never said to be more than twice the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from farm.statistics.bootstrap import LEVEL, Interval
from farm.statistics.win_rates import as_preferences, codes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LARGEST_GAIN = 2.0
QUANTILE = float(ndtri((1 + LEVEL) / 2))


@dataclass(frozen=True, slots=True)
class PredictionPowered:
    """A win rate by people's standard, from their labels and a judge's."""

    value: float
    interval: Interval
    standard_error: float
    human_only: Interval  # from the human labels alone, the textbook interval
    power: float  # lambda: 0 ignores the judge
    effective_labels: float  # human labels that alone would give this error; at most 2 n
    n: int  # pairs with a human label
    n_unlabelled: int
    n_failed: int  # judgements of the judge that failed and count as ties


class Labels(NamedTuple):
    human: Floats  # (T,), NaN where nobody was asked
    judge: Floats  # (T,), NaN where it failed


class Design(NamedTuple):
    """Two estimates of the same win rate with what each pair contributes to their errors."""

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
    """The win rate that people would give, over the whole pool.

    human (T,): P(model preferred) by people, NaN where nobody was asked; judge (T,): the same by the judge on
    the same pairs, NaN where it failed; instructions (T,): clusters; inclusion (T,): the chance that each
    pair had of being given to people, in (0, 1], where that was not the same for all; power: lambda,
    estimated if not given. Raises ValueError with fewer than two human labels, or with labels that are all
    the same.
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
        design = _unequal_chances(people, simulated, chances, clusters, power)
    n = int(labelled.sum())
    error = float(np.linalg.norm(np.bincount(clusters, design.influence)))
    alone_error = float(np.linalg.norm(np.bincount(clusters, design.alone_influence)))
    gain = min(LARGEST_GAIN, (alone_error / error) ** 2) if error > 0 else LARGEST_GAIN
    return PredictionPowered(
        value=design.value,
        interval=_interval(design.value, error, n),
        standard_error=error,
        human_only=_interval(design.alone, alone_error, n),
        power=design.power,
        effective_labels=n * gain,
        n=n,
        n_unlabelled=len(people) - n,
        n_failed=n_failed,
    )


def paired_labels(human: ArrayLike, judge: ArrayLike) -> Labels:
    """Both label sets as floats; raises ValueError where they are not of the same pairs."""
    people, simulated = as_preferences(human), as_preferences(judge)
    if people.shape != simulated.shape or people.ndim != 1:
        raise ValueError(
            f"human labels {people.shape} and simulated ones {simulated.shape}: give one of each per pair, "
            "NaN where there is none"
        )
    return Labels(people, simulated)


def require_spread(labels: Floats) -> None:
    """Raises ValueError where labels do not show how much they vary."""
    if len(labels) < 2:
        raise ValueError(f"two human labels or more are needed, not {len(labels)}")
    if labels.min() == labels.max():
        raise ValueError(
            f"all {len(labels)} human labels are {labels[0]:g}, so their spread is unknown; add some"
        )


def _equal_chances(people: Floats, judge: Floats, power: float | None) -> Design:
    """PPI++ with the labelled pairs a random sample of the pool."""
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
    return Design(alone + float(moved), influence, alone, alone_influence, power)


def _best_power(human: Floats, seen: Floats, unseen: Floats) -> float:
    """Lambda of PPI++ for a mean (Angelopoulos et al. 2023, section 6), with the judge's pooled variance."""
    spread = float(np.concatenate([seen, unseen]).var(ddof=1))
    if spread <= 1e-24:
        return 0.0
    together = float(((human - human.mean()) * (seen - seen.mean())).mean())
    return float(np.clip(together / ((1 + len(seen) / len(unseen)) * spread), 0, 1))


def _unequal_chances(
    people: Floats, judge: Floats, inclusion: Floats, clusters: Ints, power: float | None
) -> Design:
    """Inverse chances as weights; lambda is what makes the estimated error least."""
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
    return Design(value, of_people - power * of_judge, alone, of_people, power)


def _interval(value: float, error: float, n: int) -> Interval:
    return Interval(value, max(0.0, value - QUANTILE * error), min(1.0, value + QUANTILE * error), n)
