"""Do two evaluators rank models alike, and which models differ significantly?

Rank correlations (Spearman's rho, Kendall's tau-b) have two bootstrap intervals: over models (how would it be
with other models?) and over instructions (how with other instructions, as many or more?). All pairs of models
are tested at a family-wise error rate of 5 % (Holm 1979).

Scores that differ by rounding alone are ties: which of two equal means comes out larger in floating point
depends on the order of addition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr

from farm.statistics.bootstrap import LEVEL, Interval, resamplings
from farm.statistics.bounds import SAME
from farm.statistics.win_rates import Estimates, as_preferences

Floats = NDArray[np.float64]
CorrelationKind = Literal["spearman", "kendall"]

BLOCK = 4_000_000  # comparisons of two models held at a time
FEWEST_MODELS, FEWEST_INSTRUCTIONS = 5, 50  # with fewer an interval over them would not cover
FEWEST_TIED = 10  # models, where an evaluator ties some: the draws of fewer repeat a few values
ROUNDING = 1e-11
"""Scores this close, as a share of the largest, are ties. Rounding of a mean of 100,000 preferences is a
thousandth of this; means of verdicts that differ at all differ by a hundred times as much."""


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """A rank correlation in [-1, 1] with two 95 % intervals.

    An interval has no bounds over fewer than 5 models (10 where an evaluator ties some) or 50 instructions,
    nor where all draws are equal: a ranking that is the same in each draw does not show how another would
    differ.
    """

    value: float
    over_models: Interval
    over_instructions: Interval | None  # None where neither side has scores by instruction
    n_models: int


@dataclass(frozen=True, slots=True)
class RankRange:
    """The ranks (1 is best) that a model may hold, given the pairs that differ significantly."""

    model: str
    value: float
    best: int
    worst: int


def rank_correlation(
    first: pd.Series[float] | pd.DataFrame,
    second: pd.Series[float] | pd.DataFrame,
    method: CorrelationKind = "spearman",
    *,
    draws: int = 1000,
    seed: int = 0,
) -> RankCorrelation:
    """The rank correlation of two evaluators over the models that both know.

    first, second: a series of scores by model (NaN: unknown), or a frame of preferences in [0, 1] with
    instructions in rows and models in columns; the scores are then the column means. Two frames are cut to
    the instructions that they share and are resampled together. draws: of each bootstrap.

    Raises ValueError with fewer than three common models, with fewer than two (common) instructions, where a
    model stands twice on one side, or where one side ties all models.
    """
    if isinstance(first, pd.DataFrame) and isinstance(second, pd.DataFrame):
        shared = first.index.intersection(second.index)
        first, second = first.loc[shared], second.loc[shared]
    scores = pd.concat({"first": _scores(first), "second": _scores(second)}, axis=1, join="inner").dropna()
    if len(scores) < 3:
        raise ValueError(f"a rank correlation needs three common models; there are {len(scores)}")
    x, y = scores["first"].to_numpy(float), scores["second"].to_numpy(float)
    for side, given in (("first", x), ("second", y)):
        if not levels(given[None]).any():
            raise ValueError(f"the {side} evaluator ties all {len(scores)} models: there is no ranking")
    value = float(_correlations(x[None], y[None], method)[0])
    places = np.random.default_rng(seed).integers(0, len(x), (draws, len(x)))
    drawn = _correlations(x[places], y[places], method)
    tied = any(len(np.unique(levels(side[None]))) < len(side) for side in (x, y))
    over_models = _interval(value, drawn, len(x), FEWEST_TIED if tied else FEWEST_MODELS)
    over_instructions = None
    if isinstance(first, pd.DataFrame) or isinstance(second, pd.DataFrame):
        x = _resampled(first, scores.index, draws, seed)
        y = _resampled(second, scores.index, draws, seed)
        n = max(len(side) for side in (first, second) if isinstance(side, pd.DataFrame))
        drawn = _correlations(x, y, method)
        over_instructions = _reaching_up(_interval(value, drawn, n, FEWEST_INSTRUCTIONS))
    return RankCorrelation(value, over_models, over_instructions, len(scores))


def _reaching_up(found: Interval) -> Interval:
    """The percentile interval joined with the basic one, which lies as far to the other side of the value.

    Noise pulls a rank correlation towards 0: the value lies nearer to 0 than that of many instructions, and
    the draws nearer still. The percentile interval alone holds what as many other instructions would show on
    average, and not what many more would.
    """
    if found.value is None or found.low is None or found.high is None:
        return found
    low, high = (max(-1.0, min(1.0, 2 * found.value - bound)) for bound in (found.high, found.low))
    return Interval(found.value, min(low, found.low), max(high, found.high), found.n)


def levels(scores: Floats) -> Floats:
    """Number the different scores of each row from 0 upwards; scores that rounding alone tells apart are one.

    scores (B, M). A row with a NaN is NaN.
    """
    order = np.argsort(scores, axis=1, kind="stable")
    ascending = np.take_along_axis(scores, order, axis=1)
    tie = ROUNDING * np.abs(scores).max(axis=1, initial=0, keepdims=True)
    steps = (np.diff(ascending, axis=1, prepend=ascending[:, :1]) > tie).cumsum(axis=1)
    found = np.empty(scores.shape)
    np.put_along_axis(found, order, steps.astype(float), axis=1)
    found[np.isnan(scores).any(axis=1)] = np.nan
    return found


def rank_ranges(estimates: Estimates) -> list[RankRange]:
    """Models from best to worst with the ranks that the tests of `significantly_better` leave open."""
    better = significantly_better(estimates)
    order = np.argsort(-estimates.values, kind="stable")
    return [
        RankRange(
            estimates.models[i],
            float(estimates.values[i]),
            best=1 + int(better[:, i].sum()),
            worst=len(order) - int(better[i].sum()),
        )
        for i in order
    ]


def clusters(estimates: Estimates) -> list[tuple[str, ...]]:
    """Group the models from best to worst (the rule of the WMT evaluations).

    Every model of a group is significantly better than every model of the groups below. No group can be
    divided further.
    """
    better = significantly_better(estimates)
    order = np.argsort(-estimates.values, kind="stable")
    found, start = [], 0
    for end in range(1, len(order) + 1):
        if end == len(order) or better[np.ix_(order[start:end], order[end:])].all():
            found.append(tuple(estimates.models[i] for i in order[start:end]))
            start = end
    return found


def significantly_better(estimates: Estimates) -> NDArray[np.bool_]:
    """Which models are significantly better: (M, M) bool, true where the row's model beats the column's.

    All pairs are tested, two-sided with Student's t, at a family-wise 5 % (Holm 1979). A pair has as many
    degrees of freedom as the model with fewer instructions allows.
    """
    upper = np.triu_indices(len(estimates.values), 1)
    gap = estimates.values[:, None] - estimates.values[None, :]
    freedom = np.maximum(estimates.shared() - 1, 1)
    p = 2 * stdtr(freedom[upper], -np.abs(gap[upper]) / estimates.errors[upper])  # Student's
    order = np.argsort(p, kind="stable")
    allowed = (1 - LEVEL) / np.arange(len(p), 0, -1)
    rejected = np.zeros(len(p), bool)
    rejected[order] = np.logical_and.accumulate(p[order] <= allowed)
    different = np.zeros(gap.shape, bool)
    different[upper] = rejected
    return np.asarray((different | different.T) & (gap > 0), bool)


def _scores(side: pd.Series[float] | pd.DataFrame) -> pd.Series[float]:
    if isinstance(side, pd.DataFrame):
        if len(side) < 2:
            raise ValueError(f"scores by instruction need two (common) instructions; there are {len(side)}")
        as_preferences(side.to_numpy(float))
        side = side.mean()
    if not side.index.is_unique:
        raise ValueError("a model stands twice in one evaluator's scores; keep one")
    return side


def _resampled(side: pd.Series[float] | pd.DataFrame, models: pd.Index, draws: int, seed: int) -> Floats:
    """Scores (draws, models) with instructions resampled. Fixed scores are the same in every draw. A model
    without a judgement in a draw is NaN there."""
    if not isinstance(side, pd.DataFrame):
        return np.tile(side.reindex(models).to_numpy(float), (draws, 1))
    values = side[models].to_numpy(float)
    known = ~np.isnan(values)
    drawn = [np.empty((0, len(models)))]
    for weights in resamplings(len(side), draws, seed):
        counts = weights.astype(np.float64)
        with np.errstate(invalid="ignore"):
            drawn.append(counts @ np.nan_to_num(values) / (counts @ known))
    return np.concatenate(drawn)


def _correlations(x: Floats, y: Floats, method: CorrelationKind) -> Floats:
    """Rank correlations (B,) of the rows of x and y, both (B, M). NaN where one side ties all models."""
    x, y = levels(x), levels(y)
    if method == "spearman":
        from scipy.stats import rankdata  # loading it takes a second

        return _pearson(rankdata(x, axis=1), rankdata(y, axis=1))
    size = max(1, BLOCK // x.shape[1] ** 2)
    parts = [_kendall(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]
    return np.concatenate([np.empty(0), *parts])


def _kendall(x: Floats, y: Floats) -> Floats:
    """Kendall's tau-b: the cosine of the signs of all differences."""
    sx = np.sign(x[:, :, None] - x[:, None, :]).reshape(len(x), -1)
    sy = np.sign(y[:, :, None] - y[:, None, :]).reshape(len(y), -1)
    return _cosine(sx, sy)


def _pearson(x: Floats, y: Floats) -> Floats:
    return _cosine(x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True))


def _cosine(x: Floats, y: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        cosine = (x * y).sum(axis=1) / np.sqrt(np.square(x).sum(axis=1) * np.square(y).sum(axis=1))
    return np.asarray(cosine, float)


def _interval(value: float, drawn: Floats, n: int, fewest: int) -> Interval:
    known = drawn[~np.isnan(drawn)]
    if n < fewest or len(known) < 2 or np.ptp(known) <= SAME:
        return Interval(value, None, None, n)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high), n)
