"""How many human labels an interval needs beside a judge, and which pairs people should label next."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from farm.statistics.bootstrap import LEVEL
from farm.statistics.bounds import SAME, Bounds, share_bounds
from farm.statistics.prediction_powered import FEWEST_LABELS, LARGEST_GAIN, paired_labels, require_spread
from farm.statistics.student import student_quantile
from farm.statistics.win_rates import as_preferences, codes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

MOST_LABELS = 10_000_000


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """How many pairs of a pool people must judge for a 95 % interval of +- half_width, a share.

    n: with the judge's help. n_without_judge: by people alone. low, high: n labels give a half-width between
    these in 95 % of pools, for the pilot does not know the pool exactly.
    """

    n: int
    n_without_judge: int
    gain: float  # effective labels per label; at most 2
    half_width: float
    low: float
    high: float


class PilotSpread(NamedTuple):
    """What a pilot tells of a pool: numbers, or K of each for K pilots. All are of people's labels."""

    mean: Floats
    variance: Floats  # of one label
    together: Floats  # covariance of two labels of one instruction
    explained: Floats  # share of a label's variance that the judge explains


@dataclass(frozen=True, slots=True)
class PairPool:
    """The pairs of a pool by instruction. sizes (G,): pairs of each.

    rule: the bounds of an estimate from its value, its error and the number of instructions.
    """

    sizes: Floats
    rule: Callable[[float, float, int], Bounds | None] = share_bounds

    def labelled(self, n: int) -> float:
        """How many instructions have one of n labels, as expected."""
        share = float(n / self.sizes.sum())
        return float((1 - (1 - min(1.0, share)) ** self.sizes).sum()) * max(1.0, share)

    def half_widths(self, n: int, spread: PilotSpread) -> Floats:
        """Half the widths of the intervals that n labels are expected to give, (K,)."""
        total = float(self.sizes.sum())
        whole = spread.together * np.square(self.sizes).sum() / total**2
        of_pool, within = spread.variance / total + whole, spread.variance - whole
        if n >= total:  # more pairs of the same kind
            alone = found = of_pool * total / n
        else:
            alone = of_pool + (1 / n - 1 / total) * within
            found = of_pool + (1 / n - 1 / total) * within * (1 - spread.explained)
        errors: Floats = np.sqrt(np.maximum(np.maximum(found, alone / LARGEST_GAIN), 0))
        items = max(2, round(self.labelled(n)))
        pairs = zip(np.atleast_1d(spread.mean), np.atleast_1d(errors), strict=True)
        bounds = [self.rule(float(mean), float(error), items) for mean, error in pairs]
        return np.array([(each.high - each.low) / 2 for each in bounds if each])  # of 2 items or more

    def half_width(self, n: int, spread: PilotSpread) -> float:
        """As `half_widths`, for one pilot."""
        return float(self.half_widths(n, spread)[0])


def labels_needed(
    half_width: float, human: ArrayLike, judge: ArrayLike, instructions: ArrayLike | None = None
) -> LabelPlan:
    """Plan the smallest random sample of a pool that people must judge for an interval of +- half_width.

    human, judge (T,): preferences as for `prediction_powered_win_rate`; the human labels are a pilot of 10 or
    more. half_width: a share between 0 and 0.5. instructions (T,): clusters; without them every pair is its
    own.

    The planned variance is V + (1 / n - 1 / T) S (1 - r^2), but never below half of the same with r = 0. Y
    are people's labels and r is their correlation with the judge's (PPI++, Angelopoulos et al. 2023, arXiv
    2311.01453). The instructions have m_g pairs, c is the covariance of two labels of one instruction, and
    q = c sum_g(m_g^2) / T^2. V = var(Y) / T + q is the variance of the whole pool's mean, and S = var(Y) - q
    is the variance within the pool. The width is that of the interval of `prediction_powered_win_rate`.

    The logarithm of the width has the variance J + 1 / (2 (L - 1)). J is the jackknife's, over instructions:
    how far the pilot may be wrong about var(Y), c and r. The other part is that of an error estimated from L
    labelled instructions. `low` and `high` are Student's interval with the pilot's instructions - 1.

    Raises ValueError with a half-width outside the range, a pilot that is too small, has equal labels or
    stands on one instruction, or a pool that is too small.
    """
    if not 0 < half_width < 0.5:
        raise ValueError(f"a half-width is a share between 0 and 0.5, not {half_width:g}")
    people, simulated = paired_labels(human, judge)
    labelled, clusters = ~np.isnan(people), codes(instructions, len(people))
    if labelled.sum() < FEWEST_LABELS:
        raise ValueError(f"a plan needs a pilot of {FEWEST_LABELS} human labels, not {labelled.sum()}")
    require_spread(people[labelled])
    asked = len(np.unique(clusters[labelled]))
    if asked < 2:
        raise ValueError(f"all {labelled.sum()} human labels are of one instruction: label others too")
    sums = pilot_sums(people, np.nan_to_num(simulated, nan=0.5), clusters)
    total = {str(name): float(values.sum()) for name, values in sums.items()}
    without = {name: total[name] - values for name, values in sums.items()}  # one instruction, each
    pool, spread = PairPool(sums["m"]), pilot_spread(total)
    alone = spread._replace(explained=np.zeros(()))
    if (reach := pool.half_width(len(people), spread)) > half_width:
        raise ValueError(
            f"all {len(people)} pairs labelled would give +-{reach:.3f}, not +-{half_width:g}; add "
            f"{'pairs' if len(pool.sizes) == len(people) else 'instructions'} or accept a wider interval"
        )
    n, n_alone = (
        bisect_left(range(MOST_LABELS), -half_width, lo=2, key=lambda n: -pool.half_width(n, each))
        for each in (spread, alone)
    )
    width = pool.half_width(n, spread)
    others = np.log(pool.half_widths(n, pilot_spread(without)))
    variance = (len(others) - 1) * others.var() + 1 / (2 * max(1.0, pool.labelled(n) - 1))
    factor = float(np.exp(student_quantile(asked - 1, (1 + LEVEL) / 2) * np.sqrt(variance)))
    return LabelPlan(
        n=n,
        n_without_judge=n_alone,
        gain=(pool.half_width(n, alone) / width) ** 2,
        half_width=half_width,
        low=width / factor,
        high=min(0.5, width * factor),
    )


def pilot_sums(people: Floats, judge: Floats, clusters: Ints) -> dict[str, Floats]:
    """Sums over each instruction, (G,) each, of which the spread of a pilot is made.

    m: pairs, k: labels, y: labels' values, f: verdicts' values, g: verdicts on what is labelled. Two letters:
    the sum of the products. S before them: the product of the sums.
    """
    known = ~np.isnan(people)
    of = {
        "m": np.ones(len(people)),
        "k": known,
        "y": np.where(known, people, 0),
        "f": judge,
        "g": judge * known,
    }
    sums = {name: np.bincount(clusters, values) for name, values in of.items()}
    products = {a + b: np.bincount(clusters, of[a] * of[b]) for a, b in ("yy", "ff", "gg", "yf")}
    crossed = {f"S{a}{b}": sums[a] * sums[b] for a, b in combinations_with_replacement("mkyf", 2)}
    return {name: each.astype(float) for name, each in {**sums, **products, **crossed}.items()}


def pilot_spread(sums: Mapping[str, Any]) -> PilotSpread:
    """The spread of the pilot with these sums; of many pilots at once where they are arrays."""
    n, total = sums["k"], sums["m"]
    mean, verdict = sums["y"] / n, sums["f"] / total
    own, seen = _variance(sums["yy"], mean, n), _variance(sums["ff"], verdict, total)
    both = (sums["yf"] - mean * sums["g"]) / n
    correlation = _ratio(both, np.sqrt(own * _variance(sums["gg"], sums["g"] / n, n)))
    variance = own * n / np.maximum(n - 1, 1)
    return PilotSpread(
        mean=mean,
        variance=variance,
        together=variance
        * _correlation_within(sums, own=own, seen=seen, follows=_ratio(both, np.sqrt(own * seen))),
        explained=np.square(np.maximum(correlation, 0)),
    )


def _correlation_within(sums: Mapping[str, Any], own: Floats, seen: Floats, follows: Floats) -> Floats:
    """Correlation of two labels of one instruction, in [0, 1].

    own, seen: variances of labels and of verdicts. follows: the correlation of a label with the verdict on
    its pair. A pilot has few couples of labels of one instruction. So a second estimate counts beside them
    like ten couples (`FEWEST_LABELS`): the correlation of a label with the judge's verdicts on the other
    pairs of its instruction, divided by `follows`. Where a verdict tells less than .1 of the label, it is the
    judge's own correlation.
    """
    n, total = sums["k"], sums["m"]
    y, f = sums["y"] / n, sums["f"] / total
    labels = _ratio(sums["Syy"] - 2 * y * sums["Sky"] + y**2 * sums["Skk"] - n * own, own)
    verdicts = _ratio(sums["Sff"] - 2 * f * sums["Smf"] + f**2 * sums["Smm"] - total * seen, seen)
    crossed = sums["Syf"] - f * sums["Smy"] - y * sums["Skf"] + y * f * sums["Smk"]
    crossed = _ratio(crossed, np.sqrt(own * seen)) - n * follows
    other = np.where(
        follows < 0.1,
        _ratio(verdicts, sums["Smm"] - total),
        _ratio(_ratio(crossed, sums["Smk"] - n), follows),
    )
    couples = (sums["Skk"] - n) / 2
    found = (labels / 2 + FEWEST_LABELS * np.clip(other, 0, 1)) / (couples + FEWEST_LABELS)
    return np.asarray(np.clip(found, 0, 1), float)


def _variance(squares: Floats, mean: Floats, n: Floats) -> Floats:
    """The variance (ddof 0) of n numbers from the sum of their squares, and their mean."""
    return np.asarray(np.maximum(squares / n - np.square(mean), 0), float)


def _ratio(over: Floats, under: Floats) -> Floats:
    """The ratio; 0 where nothing is under the line."""
    there = np.asarray(under) > SAME
    return np.asarray(np.where(there, over / np.where(there, under, 1), 0), float)


def label_next(judgements: ArrayLike, budget: int, *, uniform: float = 0.5, seed: int = 0) -> pd.DataFrame:
    """Choose the pairs that a person should judge next: a random sample that favours doubtful pairs.

    judgements (T,) or (T, J): P(first preferred) by one or several judges, NaN where one failed. The doubt
    about a pair is sqrt(p (1 - p)), with p the mean over judges. By the law of total variance, p (1 - p) is
    the disagreement between the judges plus their own uncertainty. uniform: the share of the budget, above 0
    and at most 1, that is spread evenly, so that pairs of which the judges are wrongly sure are found too.

    Returns one row per pair: doubt, inclusion (its probability of being chosen) and chosen (bool, true for
    exactly `budget` pairs). Pass inclusion to `prediction_powered_win_rate`, which otherwise assumes equal
    probabilities. Raises ValueError where the budget or `uniform` is out of range.
    """
    table = as_preferences(judgements)
    table = table[:, None] if table.ndim == 1 else table
    pairs = len(table)
    if not 1 <= budget <= pairs:
        raise ValueError(f"a budget is from 1 to the {pairs} pairs there are, not {budget}")
    if not 0 < uniform <= 1:
        raise ValueError(f"the share spread evenly is above 0 and at most 1, not {uniform:g}")
    known = (~np.isnan(table)).sum(axis=1)
    p = np.where(known > 0, np.nansum(table, axis=1) / np.maximum(known, 1), 0.5)
    doubt = np.sqrt(p * (1 - p))
    share = doubt / doubt.sum() if doubt.any() else np.full(pairs, 1 / pairs)
    inclusion = _inclusion((1 - uniform) * share + uniform / pairs, budget)
    chosen = _systematic(inclusion, budget, np.random.default_rng(seed))
    return pd.DataFrame({"doubt": doubt, "inclusion": inclusion, "chosen": chosen})


def _inclusion(share: Floats, budget: int) -> Floats:
    """Inclusion probabilities in proportion to the shares; they sum to the budget and are at most 1."""
    certain = np.zeros(len(share), bool)
    while True:
        rest = share[~certain].sum()
        chances = np.where(certain, 1.0, (budget - certain.sum()) * share / rest if rest > 0 else 1.0)
        over = ~certain & (chances > 1)
        if not over.any():
            return chances
        certain |= over


def _systematic(inclusion: Floats, budget: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw `budget` items with these probabilities: systematic sampling in random order (Madow 1949)."""
    order = rng.permutation(len(inclusion))
    edges = np.cumsum(inclusion[order])
    ticks = (rng.random() + np.arange(budget)) * (edges[-1] / budget)
    chosen = np.zeros(len(inclusion), bool)
    chosen[order[np.searchsorted(edges, ticks, side="right")]] = True
    return chosen
