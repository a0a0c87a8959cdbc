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
    """Two annotators on the n units where both have a verdict: exact agreement, and Cohen's kappa."""

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
    """Readable verdicts: (m,) units, annotators by their place among n_annotators, categories."""

    units: Ints
    annotators: Ints
    category: Ints
    n_units: int
    n_annotators: int

    @classmethod
    def of(cls, units: Ints, codes: Ints, category: Ints, wanted: Sequence[int], n_units: int) -> Votes:
        """From judgements, (n,) each: the verdicts of the annotators with the wanted codes."""
        place = np.full(max([*wanted, int(codes.max(initial=0))]) + 1, -1)
        place[list(wanted)] = np.arange(len(wanted))
        kept = (category >= 0) & (place[codes] >= 0)
        return cls(units[kept], place[codes[kept]], category[kept], n_units, len(wanted))

    def keep(self, annotators: Sequence[int] | Ints) -> Votes:
        """Of these annotators alone, numbered by their place among them."""
        place = np.full(self.n_annotators, -1)
        place[annotators] = np.arange(len(annotators))
        kept = place[self.annotators] >= 0
        return Votes(
            self.units[kept], place[self.annotators[kept]], self.category[kept], self.n_units, len(annotators)
        )

    def one_each(self) -> Votes:
        """Each annotator's one verdict on each unit, the mode of its own; none where it has several modes."""
        cell = self.annotators * self.n_units + self.units
        cells, inverse = np.unique(cell, return_inverse=True)
        counts = np.bincount(inverse * 3 + self.category, minlength=len(cells) * 3).reshape(-1, 3)
        chosen = modes(counts)
        one = chosen.sum(axis=1) == 1
        annotators, units = np.divmod(cells[one], self.n_units)
        return Votes(units, annotators, chosen[one].argmax(axis=1), self.n_units, self.n_annotators)


def pairs_of(votes: Votes, names: Sequence[str]) -> Iterator[PairAgreement]:
    """Every two annotators with a verdict on a unit in common."""
    own = votes.one_each()
    shape = (own.n_units, own.n_annotators)
    chosen = [
        sparse.csr_array((np.ones(int(mine.sum())), (own.units[mine], own.annotators[mine])), shape=shape)
        for mine in (own.category == category for category in range(3))
    ]
    tables = np.stack([(a.T @ b).toarray() for a in chosen for b in chosen], axis=-1)
    for i, j in combinations(range(own.n_annotators), 2):
        table = tables[i, j]
        if n := int(table.sum()):
            kappa = float(cohen_kappa(table))
            same = float(table[[0, 4, 8]].sum() / n)
            yield PairAgreement(names[i], names[j], n, same, None if np.isnan(kappa) else kappa)


def effective_judges_of(panel: Votes, truth: Ints) -> Effective | None:
    """Of the annotators that judged most: from their errors against the truth, (units,), -1 unknown.

    The error on a unit is the share of the annotator's verdicts that were wrong. Annotators with less than
    half of the questions of the busiest are left out; None with fewer than 30 questions in common.
    """
    shape = (panel.n_units, panel.n_annotators)
    cell = panel.units * panel.n_annotators + panel.annotators
    total = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    wrong = np.bincount(cell, panel.category != truth[panel.units], minlength=total.size).reshape(shape)
    judged = (total > 0).sum(axis=0)
    busy = np.flatnonzero(judged * 2 >= judged.max(initial=1))
    common = (total[:, busy] > 0).all(axis=1) & (truth >= 0)
    if common.sum() < COMMON:
        return None
    value = effective_judges(wrong[common][:, busy] / total[common][:, busy])
    return None if value is None else Effective(value, len(busy), int(common.sum()))


def consensus_of(panel: Votes, truth: Ints) -> Consensus | str:
    """Dawid and Skene's consensus beside the truth's anchors, (units,), -1 unknown; or why there is none."""
    try:
        return anchored_consensus(panel.units, panel.annotators, panel.category, truth, panel.n_annotators)
    except ValueError as refusal:
        return str(refusal)
