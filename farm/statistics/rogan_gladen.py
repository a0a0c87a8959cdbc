"""A judge's win rate corrected for its errors (Rogan and Gladen 1978; Lee et al. 2025, arXiv 2511.21140).

    corrected = (observed + specificity - 1) / (sensitivity + specificity - 1)

sensitivity is the share of people's wins that the judge calls wins. specificity is the share of people's
losses that the judge calls losses. Both come from calibration pairs, which people and the judge judged. The
observed win rate is the judge's on the other pairs.

The interval is Lang and Reiczigel's (2014, Prev. Vet. Med. 113, 13-22): the delta method after adding
pseudo-observations, with both shares estimated. Pairs of one instruction go together. So the variance is
multiplied by the design effect (Kish 1965): the estimate's variance with instructions as clusters divided by
its variance with independent pairs, never below 1. The quantile is Student's on calibration instructions - 1
degrees of freedom.

The correction is refused where sensitivity + specificity is
below 1.1: such a judge hardly follows people, and the quotient explodes. The judge's errors must be as
frequent on the calibration pairs as elsewhere, so choose those pairs at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from farm.statistics.bootstrap import LEVEL, Interval
from farm.statistics.prediction_powered import Labels, paired_labels
from farm.statistics.student import student_quantile
from farm.statistics.win_rates import codes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LEAST_INFORMATION = 1.1  # sensitivity + specificity
QUANTILE = float(ndtri((1 + LEVEL) / 2))


@dataclass(frozen=True, slots=True)
class RoganGladen:
    """A corrected win rate. All rates are shares in [0, 1]."""

    value: float
    interval: Interval
    observed: float  # the judge's own win rate on the n pairs
    sensitivity: float
    specificity: float
    n: int  # pairs that only the judge judged
    n_calibration: int  # pairs that both judged
    n_instructions: int  # of the calibration pairs; the interval's n
    n_failed: int  # pairs on which the judge failed; with n and n_calibration they add up to all pairs
    design_effect: float  # by how much instructions as clusters multiply the variance; 1 or more


def rogan_gladen(human: ArrayLike, judge: ArrayLike, instructions: ArrayLike | None = None) -> RoganGladen:
    """Estimate the win rate that people would give, with Lang and Reiczigel's 95 % interval.

    human (T,): 1 for a win, 0 for a loss, NaN where nobody was asked. judge (T,): the same on the same pairs,
    NaN where it failed. Ties must be left out before. instructions (T,): clusters; without them every pair is
    its own.

    Raises ValueError on other values, without a human win and a human loss that the judge judged, with
    calibration pairs of one instruction alone, without a pair that only the judge judged, and where
    sensitivity + specificity < 1.1.
    """
    people, simulated = _without_ties(human, judge)
    judged, asked = ~np.isnan(simulated), ~np.isnan(people)
    wins, losses = simulated[judged & (people == 1)], simulated[judged & (people == 0)]
    if not len(wins) or not len(losses):
        raise ValueError("calibration needs at least one human win and one human loss that the judge judged")
    sensitivity, specificity = float(wins.mean()), float(1 - losses.mean())
    if sensitivity + specificity < LEAST_INFORMATION:
        raise ValueError(
            f"sensitivity {sensitivity:.3f} + specificity {specificity:.3f} is below {LEAST_INFORMATION}: "
            "this judge hardly follows people here; use prediction_powered_win_rate, which stays valid"
        )
    others = simulated[judged & ~asked]
    if not len(others):
        raise ValueError(
            "people judged every pair that the judge did: their own win rate needs no correction"
        )
    both = judged & asked
    clusters = codes(instructions, len(people))
    groups = len(np.unique(clusters[both]))
    if groups < 2:
        raise ValueError("all calibration pairs are of one instruction: label others too")
    n, observed = len(others), float(others.mean())
    information = sensitivity + specificity - 1
    value = float(np.clip((observed + specificity - 1) / information, 0, 1))
    # each pair's part in the error of the estimate
    influence = np.zeros(len(people))
    influence[judged & ~asked] = (others - observed) / n
    influence[judged & (people == 1)] = -value * (wins - sensitivity) / len(wins)
    influence[judged & (people == 0)] = -(1 - value) * (losses - (1 - specificity)) / len(losses)
    design_effect = _design_effect(influence, clusters)
    reach = student_quantile(groups - 1, (1 + LEVEL) / 2) * np.sqrt(design_effect)
    low, high = _bounds(
        observed, n, true=(sensitivity, len(wins)), false=(specificity, len(losses)), reach=reach
    )
    return RoganGladen(
        value=value,
        interval=Interval(value, low, high, groups),
        observed=observed,
        sensitivity=sensitivity,
        specificity=specificity,
        n=n,
        n_calibration=len(wins) + len(losses),
        n_instructions=groups,
        n_failed=int((~judged).sum()),
        design_effect=design_effect,
    )


def _without_ties(human: ArrayLike, judge: ArrayLike) -> Labels:
    """Both label sets. Raises ValueError on a label that is neither 1, 0 nor NaN."""
    people, simulated = paired_labels(human, judge)
    for name, labels in (("human", people), ("judge's", simulated)):
        other = labels[~np.isnan(labels) & (labels != 0) & (labels != 1)]
        if len(other):
            raise ValueError(
                f"a {name} label is {other[0]:g}: the correction knows wins (1) and losses (0) only; leave "
                "ties out on both sides, or use prediction_powered_win_rate"
            )
    return Labels(people, simulated)


def _design_effect(influence: Floats, clusters: Ints) -> float:
    """The variance of the sum of influences in clusters, divided by that of independent ones; 1 or more."""
    alone = float(influence @ influence)
    sums = np.bincount(clusters, influence)
    return max(1.0, float(sums @ sums) / alone) if alone > 0 else 1.0


def _bounds(
    observed: float, n: int, true: tuple[float, int], false: tuple[float, int], reach: float
) -> tuple[float, float]:
    """Lang and Reiczigel's bounds. reach: the number of standard errors to either side.

    true, false: sensitivity and specificity, each with its number of calibration pairs.
    """
    (sensitivity, wins), (specificity, losses) = true, false
    z = QUANTILE
    p = (n * observed + z**2 / 2) / (n + z**2)
    se = (wins * sensitivity + 1) / (wins + 2)
    sp = (losses * specificity + 1) / (losses + 2)
    information = se + sp - 1
    if information <= 0:
        return 0.0, 1.0
    centre = (p + sp - 1) / information
    of_se, of_sp = se * (1 - se) / (wins + 2), sp * (1 - sp) / (losses + 2)
    variance = (p * (1 - p) / (n + z**2) + of_se * centre**2 + of_sp * (1 - centre) ** 2) / information**2
    shift = 2 * z**2 * (centre * of_se - (1 - centre) * of_sp)
    half = reach * np.sqrt(variance)
    low, high = np.clip([centre + shift - half, centre + shift + half], 0, 1)
    return float(low), float(high)
