"""Annotators beside each other: pairwise agreement, how many judges they are worth, a consensus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import sparse

from farm.statistics.agreement import Ints, modes
from farm.statistics.dawid_skene import Consensus, anchored_consensus
from farm.statistics.reliability import cohen_kappa, effective_judges

COMMON = 30  # questions that a panel must have in common


class PairAgreement(NamedTuple):
    """Two annotators on the n units that both judged: exact agreement, and Cohen's kappa."""

    a: str
    b: str
    n: int
    agreement: float
    cohen_kappa: float | None


class Effective(NamedTuple):
    """Kish's effective number of independent judges among `judges`, on n units that all of them judged."""

    value: float
    judges: int
    n: int


@dataclass(frozen=True)
class Votes:
    """Each annotator's one verdict on each unit, the mode of its own: (m,) units, annotators, categories."""

    units: Ints
    annotators: Ints  # place in the list of annotators
    category: Ints
    n_units: int
    n_annotators: int

    @classmethod
    def of(cls, units: Ints, codes: Ints, category: Ints, wanted: Sequence[int]) -> Votes:
        """From judgements, several to a unit perhaps; without a single mode there is no verdict."""
        n_units = int(units.max(initial=-1)) + 1
        place = np.full(max([*wanted, int(codes.max(initial=0))]) + 1, -1)
        place[list(wanted)] = np.arange(len(wanted))
        kept = (category >= 0) & (place[codes] >= 0)
        cell = place[codes[kept]] * n_units + units[kept]
        cells, inverse = np.unique(cell, return_inverse=True)
        counts = np.zeros((len(cells), 3), dtype=np.int64)
        np.add.at(counts, (inverse, category[kept]), 1)
        chosen = modes(counts)
        one = chosen.sum(axis=1) == 1
        return cls(
            cells[one] % n_units, cells[one] // n_units, chosen[one].argmax(axis=1), n_units, len(wanted)
        )

    def keep(self, annotators: Sequence[int]) -> Votes:
        """Of these annotators alone, numbered anew."""
        place = np.full(self.n_annotators, -1)
        place[list(annotators)] = np.arange(len(annotators))
        kept = place[self.annotators] >= 0
        return Votes(
            self.units[kept], place[self.annotators[kept]], self.category[kept], self.n_units, len(annotators)
        )


def pairs_of(votes: Votes, names: Sequence[str]) -> Iterator[PairAgreement]:
    """Every two annotators that judged a unit in common."""
    shape = (votes.n_units, votes.n_annotators)
    chosen = [
        sparse.csr_matrix(
            (np.ones(int(mine.sum())), (votes.units[mine], votes.annotators[mine])), shape=shape
        )
        for mine in (votes.category == category for category in range(3))
    ]
    tables = np.stack([np.asarray((a.T @ b).todense()) for a in chosen for b in chosen], axis=-1)
    for i, j in combinations(range(votes.n_annotators), 2):
        table = tables[i, j]
        if n := int(table.sum()):
            kappa = float(cohen_kappa(table))
            same = float(table[[0, 4, 8]].sum() / n)
            yield PairAgreement(names[i], names[j], n, same, None if np.isnan(kappa) else kappa)


def effective_judges_of(votes: Votes, panel: Sequence[int], truth: Ints) -> Effective | None:
    """Of the panel's annotators that judged most: from their errors against the truth, (units,), -1 unknown.

    Annotators with less than half of the questions of the busiest are left out; None with fewer than 30
    questions in common.
    """
    own = votes.keep(panel)
    judged = np.bincount(own.annotators, minlength=len(panel))
    busy = np.flatnonzero(judged * 2 >= judged.max(initial=1))
    own = own.keep(busy.tolist())
    verdicts = np.full((own.n_units, len(busy)), -1)
    verdicts[own.units, own.annotators] = own.category
    common = (verdicts >= 0).all(axis=1) & (truth[: own.n_units] >= 0)
    if common.sum() < COMMON:
        return None
    errors = (verdicts[common] != truth[: own.n_units][common][:, None]).astype(np.float64)
    value = effective_judges(errors)
    return None if value is None else Effective(value, len(busy), int(common.sum()))


def consensus_of(votes: Votes, panel: Sequence[int], truth: Ints) -> Consensus | str:
    """Dawid and Skene's consensus of the panel beside the truth's anchors, or why there is none."""
    own = votes.keep(panel)
    try:
        return anchored_consensus(own.units, own.annotators, own.category, truth[: own.n_units], len(panel))
    except ValueError as refusal:
        return str(refusal)
