"""Which judges to buy beside people: the set whose mean verdict tells most about people's labels.

A set's verdict on a pair is the mean of its members' verdicts, as a panel gives it. It saves the share r^2 of
the labels, which is the share of a label's variance that it explains (PPI++, Angelopoulos et al. 2023, arXiv
2311.01453), and at most half of them (prediction_powered.py). So the labels of a set are those without a
judge, times 1 - min(r^2, 1/2). All affordable sets of one, two, three ... judges are compared by the
covariances of the pilot. The best of a size replaces the choice so far only if it needs less in the wanted
share of simulated pilots.

The best of many sets looks better in the pilot than it is. How much is measured: in each simulated pilot the
best set is found anew, and its r^2 there is compared with its r^2 in the pilot (Efron 1983's optimism).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from farm.statistics.bootstrap import resamplings
from farm.statistics.bounds import SAME
from farm.statistics.prediction_powered import LARGEST_GAIN

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_SETS = 5_000  # larger sets are not looked at where there are more
NEAR = 0.01  # of the labels: sets that differ by less are told apart by their price


@dataclass(frozen=True, slots=True)
class JudgeSet:
    """The best affordable set of its size. members: places of judges. explained: r^2 in the pilot.

    better: the share of simulated pilots in which it needs less than the choice of fewer judges. taken:
    whether it took that one's place.
    """

    members: tuple[int, ...]
    price: float
    explained: float
    better: float
    taken: bool


@dataclass(frozen=True, slots=True)
class ChosenJudges:
    """The sets looked at, the smallest first. members: the choice, () for nobody.

    optimism: by how much r^2 of the best set of the choice's size is too high in a
    pilot.
    """

    members: tuple[int, ...]
    looked_at: tuple[JudgeSet, ...]
    optimism: float


def choose_judges(
    labels: Floats,
    verdicts: Floats,
    clusters: Ints,
    prices: Floats,
    *,
    budget: float = np.inf,
    label_bill: float | None = None,
    assurance: float = 0.9,
    runs: int = 400,
    seed: int = 0,
) -> ChosenJudges:
    """Choose a set of judges.

    labels (n,), verdicts (n, J): of the pilot's questions; where several models are ranked, each less its
    model's mean. clusters (n,): instructions, from 0. prices (J,): what a judge costs for the whole pool, in
    dollars. budget: of the set. label_bill: what the labels without a judge cost, in dollars; with it the
    whole bill counts, and without it the number of labels.
    """
    sets = _sets(prices, budget)
    if not len(sets):
        return ChosenJudges((), (), 0.0)
    each = np.column_stack([labels, verdicts])
    products = (each[:, :, None] * each[:, None, :]).reshape(len(each), -1)
    parts = np.zeros((int(clusters.max()) + 1, products.shape[1]))
    np.add.at(parts, clusters, products)
    explained = _explained(parts.sum(axis=0)[None, :], sets)[0]
    drawn = np.concatenate(
        [
            _explained(np.asarray(weights @ parts, float), sets)
            for weights in resamplings(len(parts), runs, seed)
        ]
    )
    of_set = sets @ prices if label_bill is not None else np.zeros(len(sets))
    bill = label_bill if label_bill is not None else 1.0
    found, taken = _by_size(
        bill * (1 - _counted(explained)) + of_set,
        bill * (1 - _counted(drawn)) + of_set,
        sets=sets,
        prices=prices,
        nobody=bill,
        assurance=assurance,
    )
    size = 0 if taken is None else sets[taken].sum()
    rivals = np.flatnonzero(sets.sum(axis=1) == size)
    best = rivals[drawn[:, rivals].argmax(axis=1)] if len(rivals) else np.zeros(len(drawn), int)
    optimism = float(np.mean(drawn[np.arange(len(drawn)), best] - explained[best])) if len(rivals) else 0.0
    looked_at = tuple(
        JudgeSet(_members(sets[k]), float(sets[k] @ prices), float(explained[k]), better=share, taken=yes)
        for k, share, yes in found
    )
    return ChosenJudges(() if taken is None else _members(sets[taken]), looked_at, max(0.0, optimism))


def _by_size(
    bills: Floats, drawn: Floats, *, sets: Floats, prices: Floats, nobody: float, assurance: float
) -> tuple[list[tuple[int, float, bool]], int | None]:
    """The best set of each size: its row, the share of pilots in which it needs less, whether it is taken."""
    of_set, sizes = sets @ prices, sets.sum(axis=1)
    found, taken, now = [], None, np.full(len(drawn), nobody)
    for size in range(1, int(sizes.max()) + 1):
        rows = np.flatnonzero(sizes == size)
        if not len(rows):
            break
        near = rows[bills[rows] <= bills[rows].min() + NEAR * nobody]
        best = int(near[np.lexsort((bills[near], of_set[near]))[0]])
        better = float(np.mean(drawn[:, best] < now - SAME))
        yes = better >= assurance
        found.append((best, better, yes))
        if yes:
            taken, now = best, drawn[:, best]
    return found, taken


def _sets(prices: Floats, budget: float) -> Floats:
    """The affordable sets as rows of 0 and 1, (S, J)."""
    n = len(prices)
    rows: list[NDArray[np.bool_]] = []
    for size in range(1, n + 1):
        if len(rows) + comb(n, size) > MOST_SETS:
            break
        for members in combinations(range(n), size):
            if prices[list(members)].sum() <= budget + SAME:
                rows.append(np.isin(np.arange(n), members))
    return np.array(rows, float).reshape(len(rows), n)


def _explained(products: Floats, sets: Floats) -> Floats:
    """r^2 of the mean verdict of each set, (K, S); 0 where it follows people not at all, or the wrong way.

    products (K, (1 + J)^2): sums of products of labels and verdicts.
    """
    judges = sets.shape[1]
    table = products.reshape(-1, judges + 1, judges + 1)
    both = table[:, 0, 1:] @ sets.T
    crossed = (sets[:, :, None] * sets[:, None, :]).reshape(len(sets), -1)
    own = table[:, 1:, 1:].reshape(len(table), -1) @ crossed.T
    under = own * table[:, 0, 0][:, None]
    there = under > SAME
    return np.where(there, np.square(np.maximum(both, 0)) / np.where(there, under, 1), 0)


def _counted(explained: Floats) -> Floats:
    """The share of labels that is saved: no judge saves more than half."""
    return np.minimum(explained, 1 - 1 / LARGEST_GAIN)


def _members(row: Floats) -> tuple[int, ...]:
    return tuple(int(each) for each in np.flatnonzero(row))
