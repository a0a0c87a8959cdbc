"""Win rates with standard errors and 95 % intervals.

A preference is P(the model's output is preferred to its rival's), in [0, 1]: a tie is 0.5, a failed judgement
NaN. Rates are shares in [0, 1]. All judgements of one instruction (several samples, several annotator draws)
are one cluster. Without repeats every formula here is the textbook one.

Intervals are those of bounds.py."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from farm.statistics.agreement import categories
from farm.statistics.bootstrap import LEVEL, Interval
from farm.statistics.bounds import (
    SAME,
    clustered_error,
    difference_interval,
    share_interval,
    unanimous_error,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WinRate:
    """A win rate. Counts are judgements: n succeeded, and n + n_failed is the whole evaluation set."""

    value: float
    interval: Interval  # its n counts instructions
    standard_error: float  # over instructions and annotator draws; NaN with one instruction
    annotator_error: float  # the part of it from asking the same annotators again; NaN if unknown
    discrete: float  # a preference above 0.5 counts 1, at 0.5 counts 0.5, below counts 0
    n: int
    n_failed: int
    n_wins: int
    n_losses: int
    n_draws: int


@dataclass(frozen=True, slots=True)
class WinRateDifference:
    """The first model's win rate minus the second's, in [-1, 1], both on the same n instructions."""

    interval: Interval
    standard_error: float
    n: int
    n_failed: int  # instructions on which one or both have no judgement


@dataclass(frozen=True, slots=True)
class Estimates:
    """One number per model with the errors of their differences, as comparisons of models need them.

    errors: of the difference of two models, never 0 off the diagonal; a difference that is the same on all
    instructions has the error of `unanimous_error`. n: the number of instructions behind each model.
    """

    models: tuple[str, ...]
    values: Floats  # (M,)
    errors: Floats  # (M, M)
    n: NDArray[np.intp]  # (M,)

    def shared(self) -> NDArray[np.intp]:
        """The instructions that a difference rests on at most: the smaller number of the two, (M, M)."""
        return np.minimum.outer(self.n, self.n)


def win_rate(
    preferences: ArrayLike,
    instructions: ArrayLike | None = None,
    pairs: ArrayLike | None = None,
    votes: ArrayLike | None = None,
) -> WinRate:
    """The win rate of one model, with a clustered error and a 95 % interval.

    preferences (n,): in [0, 1], NaN where a judgement failed. instructions (n,): the clusters; if not given,
    every row is its own. pairs (n,): which question each row answers: rows of one question are draws of one
    annotator and give `annotator_error`, which is at most the whole error. votes (n,): the judgements of one
    vote weigh 1 together, such as what one annotator said of one pair; if not given, every row is a vote.

    Raises ValueError where no judgement succeeded, or on a preference outside [0, 1].
    """
    values = as_preferences(preferences)
    ok = ~np.isnan(values)
    if not ok.any():
        raise ValueError(f"no win rate: none of the {len(values)} judgements succeeded")
    clusters, draws, vote = (codes(each, len(values))[ok] for each in (instructions, pairs, votes))
    weights = 1 / np.bincount(vote)[vote]
    n_failed, values = int((~ok).sum()), values[ok]
    side = categories(values)
    losses, ties, wins = map(int, np.bincount(side, minlength=3))
    mean, error = float(np.average(values, weights=weights)), clustered_error(values, clusters, weights)
    return WinRate(
        value=mean,
        interval=share_interval(mean, error, len(np.unique(clusters))),
        standard_error=error,
        annotator_error=float(np.minimum(_annotator_error(values, draws, weights), error)),
        discrete=float(np.average(side / 2, weights=weights)),
        n=len(values),
        n_failed=n_failed,
        n_wins=wins,
        n_losses=losses,
        n_draws=ties,
    )


def win_rates(
    frame: pd.DataFrame,
    by: str = "model",
    *,
    preference: str = "preference",
    instruction: str = "instruction",
    pair: str | None = None,
    vote: str | None = None,
    evaluation_set: Iterable[Hashable] = (),
) -> dict[str, WinRate]:
    """The win rate of every value in the column `by`, such as a model or a category of instruction.

    frame: one row per judgement. preference, instruction, pair, vote: names of its columns, as for
    `win_rate`. evaluation_set: the instructions that should have been judged; one without a row counts as
    failed, as often as it is listed. Raises ValueError as `win_rate` does, and where the frame has no such
    column.
    """
    for column in filter(None, (by, preference, instruction, pair, vote)):
        if column not in frame:
            there = ", ".join(map(str, frame.columns))
            raise ValueError(f"the frame has no column {column!r}, only {there}: name the column that it is")
    expected = pd.Index(list(evaluation_set), dtype=object)
    result = {}
    for name, rows in frame.groupby(by, sort=False):
        missing = expected[~expected.isin(rows[instruction])].to_numpy(object)
        values = np.concatenate([rows[preference].to_numpy(float), np.full(len(missing), np.nan)])
        asked = np.concatenate([rows[instruction].to_numpy(object), missing])
        pairs, votes = (
            None if each is None else np.concatenate([rows[each].to_numpy(object), missing])
            for each in (pair, vote)
        )
        result[str(name)] = win_rate(values, asked, pairs, votes)
    return result


def nothing_judged(n_failed: int) -> WinRate:
    """The win rate of a model whose n_failed judgements all failed: every number is NaN."""
    nan, nothing = float("nan"), Interval(None, None, None, 0)
    return WinRate(
        value=nan,
        interval=nothing,
        standard_error=nan,
        annotator_error=nan,
        discrete=nan,
        n=0,
        n_failed=n_failed,
        n_wins=0,
        n_losses=0,
        n_draws=0,
    )


def win_rate_difference(
    first: pd.Series[float], second: pd.Series[float], level: float = LEVEL
) -> WinRateDifference:
    """Compare two models against the same rival, paired by instruction.

    first, second: preferences in [0, 1] by instruction (the index), NaN where the judgement failed. level: of
    the interval. Raises ValueError where an instruction repeats, a preference is outside [0, 1], or no judged
    one is shared.
    """
    for name, series in (("first", first), ("second", second)):
        if not series.index.is_unique:
            raise ValueError(f"the {name} model has several rows for an instruction; average them before")
    both = pd.concat([as_series(first), as_series(second)], axis=1, join="outer").to_numpy(float)
    judged = both[~np.isnan(both).any(axis=1)]
    n = len(judged)
    if not n:
        raise ValueError("the two models share no judged instruction, so they cannot be compared in pairs")
    differences = judged[:, 0] - judged[:, 1]
    mean, error = float(differences.mean()), clustered_error(differences, np.arange(n))
    return WinRateDifference(difference_interval(mean, error, n, level), error, n, len(both) - n)


def win_rate_estimates(
    frame: pd.DataFrame,
    by: str = "model",
    *,
    preference: str = "preference",
    instruction: str = "instruction",
) -> Estimates:
    """Win rates of several models with the errors of their differences, paired where instructions are shared.

    frame: one row per judgement, as for `win_rates`, whose values and errors these are. Models may be judged
    on different instructions. Raises ValueError for a model with fewer than two judged instructions.
    """
    rows = frame.assign(**{preference: as_preferences(frame[preference].to_numpy(float))})
    rows = rows.dropna(subset=[preference])
    cells = rows.groupby([instruction, by])[preference].agg(["sum", "count"])
    sums, counts = (cells[name].unstack().fillna(0).to_numpy(float) for name in cells.columns)  # (G, M)
    models = tuple(map(str, sorted(rows[by].unique())))
    n = (counts > 0).sum(axis=0)
    if not len(n) or (n < 2).any():
        few = [name for name, number in zip(models, n, strict=True) if number < 2]
        raise ValueError(f"fewer than 2 judged instructions for {', '.join(few) or 'every model'}")
    values = sums.sum(axis=0) / counts.sum(axis=0)
    influence = np.sqrt(n / (n - 1)) * (sums - counts * values) / counts.sum(axis=0)
    return Estimates(models, values, _difference_errors(values, influence, n), n)


def _difference_errors(values: Floats, influence: Floats, n: NDArray[np.intp]) -> Floats:
    """The errors (M, M) of the differences of win rates (M,) that rest on n (M,) instructions.

    influence (G, M): what each instruction moves each win rate by; the squares sum to the variance. A win
    rate, or a difference, that is the same on all instructions has the error of the rule of three.
    """
    seen = np.stack([np.square(influence - own[:, None]).sum(axis=0) for own in influence.T])
    constant = np.square(influence).sum(axis=0) <= SAME**2
    unseen = np.where(constant, np.square(unanimous_error(np.maximum(values, 1 - values), n)), 0)
    gap = np.abs(values[:, None] - values)
    alike = unanimous_error(1 + gap, np.minimum.outer(n, n))  # another difference is -1 at worst
    errors = np.where(seen > SAME**2, np.sqrt(seen + unseen[:, None] + unseen), alike)
    return np.asarray(np.where(np.eye(len(n)) == 1, 0, errors), float)


def as_preferences(values: ArrayLike) -> Floats:
    """The values as floats. Raises ValueError where one is outside [0, 1]; NaN is a failed judgement."""
    array = np.asarray(values, float)
    wrong = array[(array < 0) | (array > 1)]
    if wrong.size:
        raise ValueError(
            f"a preference is a probability in [0, 1], a tie 0.5, a failure NaN; found {wrong.flat[0]:g}"
        )
    return array


def as_series(preferences: pd.Series[float]) -> pd.Series[float]:
    """The series with its values checked by `as_preferences`, which raises ValueError."""
    return pd.Series(as_preferences(preferences.to_numpy(float)), index=preferences.index)


def codes(labels: ArrayLike | None, n: int) -> NDArray[np.intp]:
    """Labels (n,) as integers from 0. Without labels every row gets its own.

    Raises ValueError where a label is missing.
    """
    if labels is None:
        return np.arange(n)
    found = pd.factorize(np.asarray(labels, object))[0]
    if len(found) != n or (found < 0).any():
        raise ValueError(f"every one of the {n} judgements needs a label; {(found >= 0).sum()} have one")
    return found.astype(np.intp)


def _annotator_error(values: Floats, pairs: NDArray[np.intp], weights: Floats) -> float:
    """Standard error of the mean over annotator draws alone, with the outputs fixed.

    NaN unless some pair was judged twice. Pairs judged once get the mean variance of the others.
    """
    counts = np.bincount(pairs)
    repeated = counts > 1
    if not repeated.any():
        return float("nan")
    means = np.bincount(pairs, values) / np.maximum(counts, 1)
    squares = np.bincount(pairs, np.square(values - means[pairs]))
    variance = squares[repeated] / (counts[repeated] - 1)
    per_pair = np.full(len(counts), variance.mean())
    per_pair[repeated] = variance
    squared = np.bincount(pairs, np.square(weights))
    return float(np.sqrt((squared * per_pair).sum()) / weights.sum())
