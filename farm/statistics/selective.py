"""Thresholds for a cascade of judges, so that what it decides agrees with people as often as was promised.

A judge decides where its confidence reaches its threshold; else the next one is asked; what nobody decides
stays open (Jung, Brahman and Choi 2024, arXiv 2407.18370). Thresholds are chosen in two steps, as in Pareto
testing (Laufer-Goldshtein, Fisch, Barzilay and Jaakkola 2023, arXiv 2210.07913):

1. On one half of the people's labels a path of thresholds is made, from strict to lax, and put in the order
   of its p-values there.
2. On the other half the hypotheses "it agrees less often than promised" are tested in this order, each at
   the same level, until one is not rejected. By fixed-sequence testing (Angelopoulos et al. 2021, arXiv
   2110.01052) any of the rejected ones keeps the promise with that certainty. The one that decides most is
   taken.

The test of a share is Clopper and Pearson's (1934). Items of one cluster are not independent, so counts are
divided by the design effect (Korn and Graubard 1998).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv

from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import clustered_error

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

TARGETS = 40  # agreements on the fitting half that thresholds are sought for
OPEN = -1  # the stage of an item that nobody decides
NEVER = np.inf  # the threshold of a judge that decides nothing


class Hits(NamedTuple):
    """How many of how many independent items were right; both may be fractions."""

    hits: float
    n: float


class ConfidentVotes(NamedTuple):
    """What judges said of items. confidence (items, judges): in [0.5, 1], NaN without a verdict.

    right (items, judges): whether the verdict is that of the people. clusters (items,): numbered from 0.
    """

    confidence: Floats
    right: Bools
    clusters: Ints

    def take(self, chosen: Bools) -> ConfidentVotes:
        """Some of the items."""
        clusters = np.unique(self.clusters[chosen], return_inverse=True)[1]
        return ConfidentVotes(self.confidence[chosen], self.right[chosen], clusters)


@dataclass(frozen=True)
class FittedCascade:
    """Thresholds that keep a promise. thresholds: of each judge, NEVER where it decides nothing.

    agreement: on what they decide of the half that was tested, with one-sided Clopper-Pearson bounds at the
    level. coverage: the share of that half that they decide. by (judges,): the share that each decides.
    tested: how many of the path's thresholds kept the promise, of how many.
    """

    thresholds: tuple[float, ...]
    agreement: Interval
    coverage: float
    by: tuple[float, ...]
    tested: tuple[int, int]


def effective_hits(right: Bools | Floats, clusters: Ints) -> Hits:
    """The right ones among items, as a number of independent items (Korn and Graubard 1998).

    n is divided by the design effect, the variance of the mean in clusters by that of independent items; a
    design effect below 1 counts as 1. With clusters of one, n is the number of items.
    """
    values = np.asarray(right, float)
    n, mean = len(values), float(values.mean()) if len(values) else 0.0
    single = mean * (1 - mean) / max(n - 1, 1)
    error = clustered_error(values, clusters)
    effect = error**2 / single if single > 0 and np.isfinite(error) else n / max(len(np.unique(clusters)), 1)
    size = n / max(effect, 1.0)
    return Hits(size * mean, size)


def p_value(found: Hits, promise: float) -> float:
    """P(so many hits or more), where each item is right with chance `promise`: binomial, fractions too."""
    if found.hits <= 0:
        return 1.0
    return float(betainc(found.hits, found.n - found.hits + 1, promise))


def clopper_pearson(found: Hits, level: float) -> tuple[float, float]:
    """The one-sided lower and upper bounds of a share, each at this level (Clopper and Pearson 1934)."""
    hits, n = found
    low = 0.0 if hits <= 0 else float(betaincinv(hits, n - hits + 1, 1 - level))
    high = 1.0 if hits >= n else float(betaincinv(hits + 1, n - hits, level))
    return low, high


def stages(confidence: Floats, thresholds: Sequence[float]) -> Ints:
    """The judge that decides each item, OPEN where none does: (items,)."""
    sure = confidence >= np.asarray(thresholds) - 1e-12  # NaN is never sure
    return np.where(sure.any(axis=1), sure.argmax(axis=1), OPEN)


def decided_right(judged: ConfidentVotes, stage: Ints) -> Bools:
    """Whether the deciding judge is right, for the items that are decided."""
    decided = np.flatnonzero(stage != OPEN)
    return judged.right[decided, stage[decided]]


def threshold_path(judged: ConfidentVotes, promise: float) -> list[tuple[float, ...]]:
    """Thresholds from strict to lax.

    For each of TARGETS agreements from 1 down to the promise, every judge in turn gets the lowest threshold
    above which it is right that often on what is left to it.
    """
    found = [_thresholds(judged, target) for target in np.linspace(1.0, promise, TARGETS)]
    return list(dict.fromkeys(each for each in found if min(each) < NEVER))


def _thresholds(judged: ConfidentVotes, target: float) -> tuple[float, ...]:
    left = np.ones(len(judged.confidence), bool)
    chosen = []
    for judge in range(judged.confidence.shape[1]):
        mine = left & ~np.isnan(judged.confidence[:, judge])
        threshold = _lowest(judged.confidence[mine, judge], judged.right[mine, judge], target)
        chosen.append(threshold)
        left &= ~(judged.confidence[:, judge] >= threshold - 1e-12)
    return tuple(chosen)


def _lowest(confidence: Floats, right: Bools, target: float) -> float:
    """The lowest confidence from which on upwards at least this share is right; NEVER where there is none."""
    values, place = np.unique(confidence, return_inverse=True)
    hits = np.bincount(place, right, minlength=len(values))[::-1].cumsum()
    total = np.bincount(place, minlength=len(values))[::-1].cumsum()
    good = np.flatnonzero(hits >= target * total - 1e-9)
    return float(values[::-1][good[-1]]) if len(good) else NEVER


def fit_cascade(
    fitting: ConfidentVotes,
    testing: ConfidentVotes,
    promise: float,
    level: float = 0.95,
    least_coverage: float = 0.0,
) -> FittedCascade:
    """Thresholds whose decisions agree with people at least as often as promised, with this certainty.

    least_coverage: the share of items that must be decided. Raises ValueError where no thresholds keep the
    promise.
    """
    path = threshold_path(fitting, promise)
    made = [(stages(fitting.confidence, each), each) for each in path]
    covered = [(stage, each) for stage, each in made if (stage != OPEN).mean() >= least_coverage]
    ordered = sorted(covered, key=lambda pair: p_value(_hits(fitting, pair[0]), promise))
    kept: list[tuple[float, ...]] = []
    for _, thresholds in ordered:
        if p_value(_hits(testing, stages(testing.confidence, thresholds)), promise) > 1 - level:
            break
        kept.append(thresholds)
    if not kept:
        raise ValueError(_why(path, covered, least_coverage))
    best = max(kept, key=lambda each: float((stages(fitting.confidence, each) != OPEN).mean()))
    stage = stages(testing.confidence, best)
    hits = _hits(testing, stage)
    value = float(decided_right(testing, stage).mean())
    return FittedCascade(
        thresholds=best,
        agreement=Interval(value, *clopper_pearson(hits, level), int((stage != OPEN).sum())),
        coverage=float((stage != OPEN).mean()),
        by=tuple(float((stage == judge).mean()) for judge in range(len(best))),
        tested=(len(kept), len(ordered)),
    )


def _why(path: Sequence[object], covered: Sequence[object], least_coverage: float) -> str:
    if not path:
        return "no judge is right that often, however sure it is"
    if not covered:
        return f"the judges are right that often on less than {least_coverage:.0%} of the questions"
    return "the labels do not show that it is kept: they are too few, or the judges are too often wrong"


def _hits(judged: ConfidentVotes, stage: Ints) -> Hits:
    decided = stage != OPEN
    if not decided.any():
        return Hits(0.0, 0.0)
    return effective_hits(decided_right(judged, stage), judged.clusters[decided])
