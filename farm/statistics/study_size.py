"""How large a study must be: labels for an interval of a wanted half-width, in a wanted share of studies.

A pilot is simulated anew: its instructions are drawn with replacement (Efron 1979). Each simulated pilot has
its own spread of labels, and so its own half-width of the interval that n labels would give
(`label_budget.PairPool`). A study of n labels is a draw too. Its half-width deviates as that of a pilot does,
less by the square root of the number of instructions. So each gets the deviation of another simulated pilot,
scaled so, on the logarithm. The half-widths of simulated studies then hold both doubts: what the pilot does
not know, and how a study turns out. n is the smallest number of labels for which enough of them are narrow
enough.

A pilot that shows too small a spread by luck shows too small a doubt about it too. So only the share LUCK of
the failures that are allowed may be seen in the simulation: 95 % of simulated studies stand for 90 %. The
share was chosen by simulation (benchmarks/plan.py).

An estimate that is no mean of labels is planned by the pseudo-values of its jackknife (Tukey 1958). Their
mean and spread are those of the estimate to first order: `alpha_values`, `gap_values`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from farm.statistics.bootstrap import resamplings
from farm.statistics.bounds import Bounds, share_bounds, student_interval
from farm.statistics.bradley_terry import strength_parts
from farm.statistics.label_budget import MOST_LABELS, PairPool, PilotSpread, pilot_spread, pilot_sums
from farm.statistics.measures import Span
from farm.statistics.prediction_powered import FEWEST_LABELS, require_spread
from farm.statistics.reliability import LEAST, alpha_scale, coincidences, krippendorff_alpha

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LUCK = 0.5
Rule = Callable[[float, float, int], Bounds | None]
"""The bounds of an estimate from its value, its error and the number of instructions."""


@dataclass(frozen=True, slots=True)
class SimulatedPilots:
    """K simulated pilots of one estimate. value: the pilot's own. asked: instructions with a label in it.

    spread: K numbers each. partner (K,): whose deviation a study of each gets. largest: of the pool.
    """

    value: float
    pool: PairPool
    spread: PilotSpread
    partner: Ints
    asked: int

    @property
    def largest(self) -> int:
        """The questions of the pool."""
        return int(self.pool.sizes.sum())

    def half_widths(self, n: int) -> Floats:
        """The half-widths of K simulated studies of n labels, one on each question."""
        widths = np.log(self.pool.half_widths(n, self.spread))
        deviation = (widths - widths.mean()) * np.sqrt(self.asked / max(2.0, self.pool.labelled(n)))
        return np.asarray(np.exp(widths + deviation[self.partner]), float)

    def reached(self, n: int, half_width: float) -> float:
        """The share of simulated studies of n labels whose interval is that narrow."""
        return float(np.mean(self.half_widths(n) <= half_width))


class ValuesOfParts(NamedTuple):
    """An estimate with its pseudo-values: values (n,), one of each question or judgement; their mean is the
    estimate to first order. rule: its bounds."""

    values: Floats
    rule: Rule


def simulate(
    labels: Floats,
    clusters: Ints,
    sizes: Floats,
    *,
    judge: Floats | None = None,
    optimism: float = 0.0,
    rule: Rule = share_bounds,
    runs: int = 400,
    seed: int = 0,
) -> SimulatedPilots:
    """Simulate a pilot `runs` times.

    labels (n,): what people said, NaN where nobody did; pseudo-values of another estimate. clusters (n,):
    instructions, from 0. sizes (G,): the questions of each instruction of the pool. judge (n,): its verdicts,
    without which people's labels stand alone. optimism: what to take off the share of a label that the judge
    explains, for a judge that was chosen by these labels. Draws of a pilot without spread are left out.

    Raises ValueError with fewer than 10 labels, labels that are all equal, or of one instruction.
    """
    known = ~np.isnan(labels)
    if known.sum() < FEWEST_LABELS:
        raise ValueError(f"a plan needs a pilot of {FEWEST_LABELS} labelled questions, not {known.sum()}")
    require_spread(labels[known])
    asked = len(np.unique(clusters[known]))
    if asked < 2:
        raise ValueError(f"all {known.sum()} labels are of one instruction: label others too")
    if judge is None:  # then questions without a label tell nothing
        labels, clusters = labels[known], np.unique(clusters[known], return_inverse=True)[1]
    verdicts = np.full(len(labels), 0.5) if judge is None else np.nan_to_num(judge, nan=0.5)
    sums = pilot_sums(labels, verdicts, clusters)
    own = pilot_spread({name: np.array([each.sum()]) for name, each in sums.items()})
    drawn: dict[str, list[Floats]] = {name: [] for name in sums}
    for weights in resamplings(len(sums["m"]), runs, seed):
        for name, each in sums.items():
            drawn[name].append(np.asarray(weights @ each, float))
    total = {name: np.concatenate(parts) for name, parts in drawn.items()}
    with np.errstate(all="ignore"):
        spread = pilot_spread(total)
    there = (total["k"] > 1) & (spread.variance > 0)
    spread = PilotSpread(*(each[there] for each in spread))
    lost = asked / (asked - 1)  # a bootstrap's variance is smaller than the pilot's by this
    if judge is None:
        explained = np.zeros(len(spread.mean))
    else:  # it is larger than the pilot's by a bias that the pilot's own has too, so twice
        bias = max(0.0, float(spread.explained.mean() - own.explained[0]))
        explained = np.clip(spread.explained - 2 * bias - optimism, 0, 1)
    return SimulatedPilots(
        value=float(own.mean[0]),
        pool=PairPool(np.asarray(sizes, float), rule),
        spread=spread._replace(
            variance=spread.variance * lost, together=spread.together * lost, explained=explained
        ),
        partner=np.random.default_rng(seed).permutation(len(spread.mean)),
        asked=asked,
    )


def simulated_share(assurance: float) -> float:
    """The share of simulated studies that must be narrow enough for this share of real ones."""
    return 1 - LUCK * (1 - assurance)


def labels_for(pilots: SimulatedPilots, half_width: float, assurance: float) -> int | None:
    """The fewest labels with which this share of studies is that narrow, by `simulated_share`.

    None if more pairs of these instructions never give it. More than `largest` need a larger pool.
    """
    places = range(MOST_LABELS)
    n = bisect_left(places, simulated_share(assurance), lo=2, key=lambda n: pilots.reached(n, half_width))
    return None if n >= MOST_LABELS else n


def pool_for(pilots: SimulatedPilots, half_width: float, assurance: float) -> int | None:
    """How many questions a pool of this kind needs, where it would be labelled whole. None: 10 million do not
    do."""
    sizes = pilots.pool.sizes

    def reached(times: int) -> float:
        pool = PairPool(np.tile(sizes, times), pilots.pool.rule)
        return replace(pilots, pool=pool).reached(int(pool.sizes.sum()), half_width)

    most = max(1, int(MOST_LABELS / 10 // sizes.sum()))
    times = bisect_left(range(most + 1), simulated_share(assurance), lo=1, key=reached)
    return None if times > most else int(times * sizes.sum())


def alpha_values(counts: Ints) -> ValuesOfParts:
    """Krippendorff's alpha of votes (n, 3) as pseudo-values (n,) of its questions.

    NaN where a question has fewer than two votes. Raises ValueError with fewer than 10 other questions, or
    where all votes are alike.
    """
    sums = coincidences(counts)
    several = counts.sum(axis=1) > 1
    if several.sum() < LEAST:
        raise ValueError(f"alpha needs {LEAST} questions with two people or more, not {several.sum()}")
    whole, n = sums.sum(axis=0), int(several.sum())
    value, without = float(krippendorff_alpha(whole)), krippendorff_alpha(whole - sums)
    if np.isnan(value):
        raise ValueError("all votes are alike, so alpha is not defined: label other questions too")
    scale = alpha_scale(whole)
    values = np.where(several, n * value - (n - 1) * without, np.nan)
    return ValuesOfParts(values, lambda mean, error, items: _on_scale(mean, error, items=items, scale=scale))


def _on_scale(mean: float, error: float, items: int, scale: Span) -> Bounds | None:
    """The bounds of low + span share, as measures.py makes them."""
    share = min(max((mean - scale.low) / scale.span, 0.0), 1.0)
    found = share_bounds(share, error / scale.span, items)
    return None if found is None else Bounds(*(scale.low + scale.span * each for each in found))


def gap_values(frame: pd.DataFrame) -> dict[tuple[str, str], ValuesOfParts]:
    """The Bradley-Terry gaps of neighbours in the ranking as pseudo-values of the judgements, best first.

    frame: one row per judgement: first, second (models), preference (in [0, 1]). A gap is in log-odds; its
    bounds are those of P(the better beats the worse), a share. Raises ValueError as `bradley_terry` does.
    """
    parts = strength_parts(frame)
    best = np.argsort(-parts.strengths, kind="stable")
    found = {}
    for i, j in pairwise(best):
        gap = parts.strengths[i] - parts.strengths[j]
        values = gap + len(frame) * (parts.influence[:, i] - parts.influence[:, j])
        found[parts.models[i], parts.models[j]] = ValuesOfParts(np.asarray(values, float), _as_probability)
    return found


def _as_probability(gap: float, error: float, items: int) -> Bounds | None:
    found = student_interval(gap, error, items)
    if found.low is None or found.high is None:
        return None
    return Bounds(float(expit(found.low)), float(expit(found.high)))
