"""How many human labels an interval needs beside a judge, and which pairs people should label next."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from farm.statistics.bounds import share_bounds
from farm.statistics.prediction_powered import FEWEST_LABELS, LARGEST_GAIN, paired_labels, require_spread
from farm.statistics.win_rates import as_preferences, codes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

MOST_LABELS = 10_000_000


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """How many pairs of a pool people must judge for a 95 % interval of +- half_width, a share.

    n: with the judge's help. n_without_judge: by people alone.
    """

    n: int
    n_without_judge: int
    gain: float  # effective labels per label; at most 2
    half_width: float


@dataclass(frozen=True, slots=True)
class _Pool:
    """What a plan knows of a pool. All variances are of people's labels."""

    mean: float
    variance: float  # of one label
    together: float  # covariance of two labels of one instruction
    explained: float  # share of a label's variance that the judge explains
    sizes: Floats  # pairs of each instruction

    def half_width(self, n: int, explained: float) -> float:
        """Half the width of the interval that n labels are expected to give."""
        total = self.sizes.sum()
        of_pool = self.variance / total + self.together * np.square(self.sizes).sum() / total**2
        within = self.variance - self.together * np.square(self.sizes).sum() / total**2
        if n >= total:  # more pairs of the same kind
            alone = found = of_pool * total / n
        else:
            alone = of_pool + (1 / n - 1 / total) * within
            found = of_pool + (1 / n - 1 / total) * within * (1 - explained)
        labelled = float((1 - (1 - min(1.0, n / total)) ** self.sizes).sum()) * max(1.0, n / total)
        error = float(np.sqrt(max(found, alone / LARGEST_GAIN)))
        bounds = share_bounds(self.mean, error, max(2, round(labelled)))
        assert bounds is not None  # there are two instructions or more
        return (bounds.high - bounds.low) / 2


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

    Raises ValueError with a half-width outside the range, a pilot that is too small, has equal labels or
    stands on one instruction, or a pool that is too small.
    """
    if not 0 < half_width < 0.5:
        raise ValueError(f"a half-width is a share between 0 and 0.5, not {half_width:g}")
    people, simulated = paired_labels(human, judge)
    labelled, clusters = ~np.isnan(people), codes(instructions, len(people))
    if labelled.sum() < FEWEST_LABELS:
        raise ValueError(f"a plan needs a pilot of {FEWEST_LABELS} human labels, not {labelled.sum()}")
    pilot, seen = people[labelled], np.nan_to_num(simulated, nan=0.5)
    require_spread(pilot)
    if len(np.unique(clusters[labelled])) < 2:
        raise ValueError(f"all {len(pilot)} human labels are of one instruction: label others too")
    spread = float(pilot.var(ddof=1))
    correlation = float(np.corrcoef(pilot, seen[labelled])[0, 1]) if seen[labelled].std() > 0 else 0.0
    pool = _Pool(
        mean=float(pilot.mean()),
        variance=spread,
        together=spread * _correlation_within(people, seen, clusters),
        explained=max(0.0, correlation) ** 2,
        sizes=np.bincount(clusters).astype(float),
    )
    reach = pool.half_width(len(people), pool.explained)
    if reach > half_width:
        raise ValueError(
            f"all {len(people)} pairs labelled would give +-{reach:.3f}, not +-{half_width:g}; add "
            f"{'pairs' if len(pool.sizes) == len(people) else 'instructions'} or accept a wider interval"
        )
    n, alone = (
        bisect_left(range(MOST_LABELS), -half_width, lo=2, key=lambda n: -pool.half_width(n, share))
        for share in (pool.explained, 0.0)
    )
    gain = (pool.half_width(n, 0.0) / pool.half_width(n, pool.explained)) ** 2
    return LabelPlan(n, alone, gain, half_width)


def _correlation_within(people: Floats, judge: Floats, clusters: Ints) -> float:
    """Correlation of two labels of one instruction, in [0, 1].

    A pilot has few couples of labels of one instruction. So a second estimate counts beside them like ten
    couples (`FEWEST_LABELS`): the correlation of a label with the judge's verdicts on the other pairs of its
    instruction, divided by that with its verdict on the same pair. Where a verdict tells less than .1 of the
    label, it is the judge's own correlation.
    """
    labels, verdicts = (_standard(each) for each in (people, judge))
    known = np.isfinite(labels)
    ours, couples = _products(labels[known], labels[known], clusters[known])
    follows = float(labels[known] @ verdicts[known]) / known.sum()
    if follows < 0.1:
        found, many = _products(verdicts, verdicts, clusters)
    else:
        found, many = _products(np.where(known, labels, 0), verdicts, clusters, known)
        found /= follows
    other = float(np.clip(found / many, 0, 1)) if many else 0.0
    return float(np.clip((ours / 2 + FEWEST_LABELS * other) / (couples / 2 + FEWEST_LABELS), 0, 1))


def _standard(values: Floats) -> Floats:
    """Values with mean 0 and standard deviation 1; NaN stays, equal values are 0."""
    centred = values - np.nanmean(values)
    spread = float(np.nanstd(values))
    return centred / spread if spread > 0 else centred * 0


def _products(
    first: Floats, second: Floats, clusters: Ints, counted: NDArray[np.bool_] | None = None
) -> tuple[float, float]:
    """Sum of first_i second_j over i and j of one cluster with i not j, and the number of these.

    counted: where first has a value; everywhere if not given.
    """
    counted = np.ones(len(first), bool) if counted is None else counted
    sums = np.bincount(clusters, first) @ np.bincount(clusters, second) - first @ second
    number = np.bincount(clusters, counted) @ np.bincount(clusters) - counted.sum()
    return float(sums), float(number)


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
