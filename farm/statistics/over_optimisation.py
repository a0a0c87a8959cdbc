"""Over-optimisation curves: the gold reward as a proxy reward is optimised further (Gao et al. 2023,
arXiv 2210.10760; AlpacaFarm, figure 4).

A curve has one point for each strength of optimisation. A point has sqrt(KL), the distance from the starting
policy, and the mean gold utility or win rate over instructions with its interval. KL is in nats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import clustered_error, share_interval, student_interval
from farm.statistics.win_rates import codes

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One point. level: what was varied (n of best-of-n, a KL penalty, a step). sqrt_kl: in sqrt(nats); gold:
    the mean with its interval over instructions; n judgements succeeded and n_failed failed."""

    curve: str
    level: float
    sqrt_kl: float
    gold: Interval
    standard_error: float
    n: int
    n_failed: int


def best_of_n_kl(n: int) -> float:
    """The KL in nats of best-of-n from its base policy: log n - (n - 1) / n.

    It is exact where no two samples tie and an upper bound otherwise (Stiennon et al. 2020, appendix G.3;
    Beirami et al. 2024, theorem 3.1). Raises ValueError for n below 1.
    """
    if n < 1:
        raise ValueError(f"best-of-n takes the best of 1 sample or more, not {n}")
    return float(np.log(n) - (n - 1) / n)


def curve_points(frame: pd.DataFrame, *, share: bool = False) -> list[CurvePoint]:
    """The points of one or several curves, by curve and level.

    frame: one row per judgement with the columns curve (the reward model), level, kl (nats, one value per
    curve and level), instruction and gold (NaN where the judgement failed). share: gold is a preference in
    [0, 1] and the interval stays inside; otherwise the interval is Student's, clustered by instruction.

    Raises ValueError where a curve and level have a negative KL, several KLs or no successful judgement.
    """
    points = []
    for _, rows in frame.groupby(["curve", "level"], sort=True):
        curve, level, kl = str(rows["curve"].iloc[0]), float(rows["level"].iloc[0]), rows["kl"].unique()
        if len(kl) != 1 or not kl[0] >= 0:
            raise ValueError(f"curve {curve!r} at {level:g} needs one KL, 0 or more; it has {kl.tolist()}")
        gold = rows["gold"].to_numpy(float)
        ok = ~np.isnan(gold)
        if not ok.any():
            raise ValueError(f"curve {curve!r} at {level:g}: none of its {len(gold)} judgements succeeded")
        clusters = codes(rows["instruction"].to_numpy(object), len(gold))[ok]
        interval, error = _mean(gold[ok], clusters, share)
        n, sqrt_kl = int(ok.sum()), float(kl[0]) ** 0.5
        points.append(
            CurvePoint(
                curve=curve,
                level=level,
                sqrt_kl=sqrt_kl,
                gold=interval,
                standard_error=error,
                n=n,
                n_failed=len(gold) - n,
            )
        )
    return points


def _mean(values: Floats, clusters: NDArray[np.intp], share: bool) -> tuple[Interval, float]:
    mean, error, n = float(values.mean()), clustered_error(values, clusters), len(np.unique(clusters))
    return (share_interval if share else student_interval)(mean, error, n), error
