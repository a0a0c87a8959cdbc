"""A judge's win rate corrected for its errors (Rogan and Gladen 1978; Lee et al. 2025, arXiv 2511.21140).

    corrected = (observed + specificity - 1) / (sensitivity + specificity - 1)

sensitivity is the share of people's wins that the judge calls wins. specificity is the share of people's
losses that the judge calls losses. Both come from calibration pairs, which people and the judge judged. The
observed win rate is the judge's on the other pairs.

The interval is Lang and Reiczigel's (2014, Prev. Vet. Med. 113, 13-22): the delta method after adding
pseudo-observations, with both shares estimated. The correction is refused where sensitivity + specificity is
below 1.1: such a judge hardly follows people, and the quotient explodes. The judge's errors must be as
frequent on the calibration pairs as elsewhere, so choose those pairs at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from farm.statistics.bootstrap import Interval
from farm.statistics.prediction_powered import QUANTILE, paired_labels

Floats = NDArray[np.float64]

LEAST_INFORMATION = 1.1  # sensitivity + specificity


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
    n_failed: int  # pairs on which the judge failed; the three add up to all pairs


def rogan_gladen(human: ArrayLike, judge: ArrayLike) -> RoganGladen:
    """Estimate the win rate that people would give, with Lang and Reiczigel's 95 % interval.

    human (T,): 1 for a win, 0 for a loss, NaN where nobody was asked. judge (T,): the same on the same pairs,
    NaN where it failed. Ties must be left out before.

    Raises ValueError on other values, without a human win and a human loss that the judge judged, without a
    pair that only the judge judged, and where sensitivity + specificity < 1.1.
    """
    people, simulated = paired_labels(human, judge)
    for name, labels in (("human", people), ("judge's", simulated)):
        other = labels[~np.isnan(labels) & (labels != 0) & (labels != 1)]
        if len(other):
            raise ValueError(
                f"a {name} label is {other[0]:g}: the correction knows wins (1) and losses (0) only; leave "
                "ties out on both sides, or use prediction_powered_win_rate"
            )
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
    n, observed = len(others), float(others.mean())
    value = float(np.clip((observed + specificity - 1) / (sensitivity + specificity - 1), 0, 1))
    return RoganGladen(
        value=value,
        interval=_interval(
            value,
            observed,
            n=n,
            sensitivity=sensitivity,
            wins=len(wins),
            specificity=specificity,
            losses=len(losses),
        ),
        observed=observed,
        sensitivity=sensitivity,
        specificity=specificity,
        n=n,
        n_calibration=len(wins) + len(losses),
        n_failed=int((~judged).sum()),
    )


def _interval(
    value: float, observed: float, n: int, sensitivity: float, wins: int, specificity: float, losses: int
) -> Interval:
    z = QUANTILE
    p = (n * observed + z**2 / 2) / (n + z**2)
    se = (wins * sensitivity + 1) / (wins + 2)
    sp = (losses * specificity + 1) / (losses + 2)
    information = se + sp - 1
    if information <= 0:
        return Interval(value, 0.0, 1.0, n)
    centre = (p + sp - 1) / information
    of_se, of_sp = se * (1 - se) / (wins + 2), sp * (1 - sp) / (losses + 2)
    variance = (p * (1 - p) / (n + z**2) + of_se * centre**2 + of_sp * (1 - centre) ** 2) / information**2
    shift = 2 * z**2 * (centre * of_se - (1 - centre) * of_sp)
    reach = z * np.sqrt(variance)
    low, high = np.clip([centre + shift - reach, centre + shift + reach], 0, 1)
    return Interval(value, float(low), float(high), n)
