"""Over-optimisation: what more optimisation of a proxy reward does to the gold one (Gao et al. 2023,
arXiv 2210.10760; AlpacaFarm, figure 4).

A curve has a point per strength of optimisation: its distance sqrt(KL) from the starting policy, and the mean
gold utility or win rate over instructions with an interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaln, stdtrit

from farm.statistics.bootstrap import LEVEL, Interval
from farm.statistics.win_rates import clustered_error, codes, share_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One point: `level` is what was varied (n of best-of-n, a KL, a step); n + n_failed all judgements."""

    curve: str
    level: float
    sqrt_kl: float
    gold: Interval
    standard_error: float
    n: int
    n_failed: int


def best_of_n_kl(n: int) -> float:
    """log n - (n - 1) / n in nats: the KL of best-of-n from its base policy where no two samples tie, an
    upper bound where some do (Stiennon et al. 2020, appendix G.3; Beirami et al. 2024, theorem 3.1)."""
    if n < 1:
        raise ValueError(f"best-of-n takes the best of 1 sample or more, not {n}")
    return float(np.log(n) - (n - 1) / n)


def curve_points(frame: pd.DataFrame, *, share: bool = False) -> list[CurvePoint]:
    """Points of one or several curves.

    frame: curve (the reward model), level, kl (nats, one value per curve and level), instruction, gold (NaN
    where the judgement failed). share: gold is a preference in [0, 1], and so is its interval; otherwise the
    interval is Student's over instructions. Raises ValueError where a KL is negative or not one value.
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
        points.append(CurvePoint(curve, level, sqrt_kl, interval, error, n, len(gold) - n))
    return points


def best_of_n_curve(
    proxy: Floats, gold: Floats, sizes: Sequence[int], *, curve: str = "best-of-n", share: bool = False
) -> list[CurvePoint]:
    """The curve of best-of-n for several n from one set of N samples per instruction, without drawing.

    proxy, gold (I, N): scores of the same samples; a row with a NaN failed. The best of n is averaged over
    all subsets of n samples (Nakano et al. 2021, arXiv 2112.09332, appendix I), samples that tie sharing
    their places. Raises ValueError for an n above N.
    """
    if proxy.shape != gold.shape or proxy.ndim != 2:
        raise ValueError(f"proxy {proxy.shape} and gold {gold.shape} scores are (instructions, samples) both")
    ok = np.asarray(np.isfinite(proxy + gold).all(axis=1), bool)
    if not ok.any():
        raise ValueError(f"none of the {len(proxy)} instructions has all its scores")
    ordered = _gold_by_rank(proxy[ok], gold[ok])
    instructions, n_failed = len(ordered), len(proxy) - len(ordered)
    points = []
    for n in sizes:
        best = ordered @ _chance_of_best(proxy.shape[1], n)
        interval, error = _mean(best, np.arange(instructions), share)
        sqrt_kl = best_of_n_kl(n) ** 0.5
        points.append(CurvePoint(curve, float(n), sqrt_kl, interval, error, instructions, n_failed))
    return points


def _gold_by_rank(proxy: Floats, gold: Floats) -> Floats:
    """Gold scores (I, N) from the worst proxy score to the best; tied samples have their mean."""
    order = np.argsort(proxy, axis=1, kind="stable")
    ranked, scores = np.take_along_axis(proxy, order, axis=1), np.take_along_axis(gold, order, axis=1)
    starts = np.concatenate([np.ones((len(ranked), 1), bool), ranked[:, 1:] != ranked[:, :-1]], axis=1)
    group = np.cumsum(starts.ravel()) - 1
    return np.asarray((np.bincount(group, scores.ravel()) / np.bincount(group))[group].reshape(scores.shape))


def _chance_of_best(samples: int, n: int) -> Floats:
    """P(the sample of rank r, worst first, is the best of a random n): C(r - 1, n - 1) / C(N, n)."""
    if not 1 <= n <= samples:
        raise ValueError(f"the best of {n} cannot be taken from {samples} samples per instruction")
    below = np.arange(samples)  # r - 1
    with np.errstate(invalid="ignore"):
        chances = _log_choose(below, n - 1) - _log_choose(np.array([samples]), n)
    return np.where(below >= n - 1, np.exp(chances), 0)


def _log_choose(total: NDArray[np.intp], taken: int) -> Floats:
    room = np.maximum(total - taken, 0)
    return np.asarray(gammaln(total + 1) - gammaln(taken + 1) - gammaln(room + 1), float)


def _mean(values: Floats, clusters: NDArray[np.intp], share: bool) -> tuple[Interval, float]:
    mean, error, n = float(values.mean()), clustered_error(values, clusters), len(np.unique(clusters))
    if share:
        return share_interval(mean, error, n), error
    if n < 2:
        return Interval(mean, None, None, n), error
    reach = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * error
    return Interval(mean, mean - reach, mean + reach, n), error
