"""How many human labels an interval needs beside a judge, and which pairs people should label next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from farm.statistics.prediction_powered import LARGEST_GAIN, QUANTILE, paired_labels, require_spread
from farm.statistics.win_rates import as_preferences

Floats = NDArray[np.float64]

SMALLEST_PILOT = 10


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """How many pairs of a pool people must judge for a 95 % interval of +- half_width, a share.

    n: with the judge's help. n_without_judge: by people alone.
    """

    n: int
    n_without_judge: int
    gain: float  # effective labels per label; at most 2
    half_width: float


def labels_needed(half_width: float, human: ArrayLike, judge: ArrayLike) -> LabelPlan:
    """Plan the smallest random sample of a pool that people must judge for an interval of +- half_width.

    human, judge (T,): preferences as for `prediction_powered_win_rate`; the human labels are a pilot of 10 or
    more. half_width: a share between 0 and 0.5. With n of T pairs labelled, the planned variance is
    var(Y) (1 - r^2 (1 - n / T)) / n, but never below half of var(Y) / n. Y are people's labels and r is their
    correlation with the judge's (PPI++, Angelopoulos et al. 2023, arXiv 2311.01453).

    Raises ValueError with a half-width outside the range, a pilot that is too small or has equal labels, or a
    pool that is too small.
    """
    if not 0 < half_width < 0.5:
        raise ValueError(f"a half-width is a share between 0 and 0.5, not {half_width:g}")
    people, simulated = paired_labels(human, judge)
    labelled = ~np.isnan(people)
    if labelled.sum() < SMALLEST_PILOT:
        raise ValueError(f"a plan needs a pilot of {SMALLEST_PILOT} human labels, not {labelled.sum()}")
    pilot, seen = people[labelled], np.nan_to_num(simulated, nan=0.5)[labelled]
    require_spread(pilot)
    correlation = float(np.corrcoef(pilot, seen)[0, 1]) if seen.std() > 0 else 0.0
    sizes = np.arange(1, len(people) + 1)
    saved = max(0.0, correlation) ** 2 * (1 - sizes / len(people))
    left = np.maximum(1 - saved, 1 / LARGEST_GAIN)
    reach = QUANTILE * np.sqrt(pilot.var(ddof=1) * left / sizes)
    if reach[-1] > half_width:
        raise ValueError(
            f"all {len(people)} pairs labelled would give +-{reach[-1]:.3f}, not +-{half_width:g}; add pairs "
            "or accept a wider interval"
        )
    n = int(sizes[reach <= half_width][0])
    alone = int(np.ceil(pilot.var(ddof=1) * (QUANTILE / half_width) ** 2))
    return LabelPlan(n, alone, float(1 / left[n - 1]), half_width)


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
