"""When to stop training by a judge: when a checkpoint is worse than an earlier one, beyond chance.

With K evaluations planned there are K (K - 1) / 2 pairs of an earlier and a later checkpoint. Each difference
of win rates gets an interval at the level 1 - 0.05 / (K (K - 1) / 2) (Bonferroni). So all of them hold at
once in 95 % of runs, whichever checkpoint came out best. A run whose checkpoints are equally good is
therefore stopped in at most 5 % of cases."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from farm.statistics.bootstrap import LEVEL, Interval
from farm.statistics.win_rates import win_rate_difference


def joint_level(evaluations: int) -> float:
    """The level at which each difference of two of so many evaluations is told: 0.95 for 2, 0.995 for 5.

    Raises ValueError below 2, where there is no difference.
    """
    if evaluations < 2:
        raise ValueError(f"{evaluations} evaluations have no difference between two of them")
    return 1 - (1 - LEVEL) / (evaluations * (evaluations - 1) / 2)


def best_of(votes: Mapping[int, pd.Series[float]]) -> int:
    """The step with the highest mean preference; of equal ones the earliest.

    votes: step -> preferences in [0, 1] by instruction, NaN where the judgement failed. Raises ValueError
    where nothing was judged.
    """
    means = {step: float(each.mean()) for step, each in votes.items() if each.notna().any()}
    if not means:
        raise ValueError("no evaluation has a judgement")
    return min(means, key=lambda step: (-means[step], step))


def fall(votes: Mapping[int, pd.Series[float]], evaluations: int) -> Interval | None:
    """How far the latest step is below the best one: the difference of win rates, paired by instruction.

    votes: as of `best_of`, against the same rival. evaluations: how many are planned in the whole run; the
    interval is at `joint_level`. It has turned if the lower bound is above 0. None where the latest step is
    the best or the only one, has no judgement, or shares no judged instruction with the best.
    """
    latest = max(votes)
    if votes[latest].isna().all() or (best := best_of(votes)) == latest:
        return None
    if not (votes[best].notna() & votes[latest].notna()).any():
        return None
    return win_rate_difference(votes[best], votes[latest], joint_level(evaluations)).interval
