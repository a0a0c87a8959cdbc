"""Several annotators together: pairwise agreement, the number of independent judges they equal, a consensus.

Categories are those of agreement.py. Units are numbered from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from farm.statistics import agreement
from farm.statistics.agreement import Ints, one_vote_each
from farm.statistics.dawid_skene import Consensus, Verdicts, anchored_consensus
from farm.statistics.reliability import Floats, cohen_counts, cohen_kappa, effective_judges, gwet_ac1

COMMON = 30  # the fewest units that all judges of a panel must share


class PairAgreement(NamedTuple):
    """Two annotators on the n units that both judged. agreement: share of units with the same category.
    cohen_kappa, ac1: None where they are undefined."""

    a: str
    b: str
    n: int
    agreement: float
    cohen_kappa: float | None
    ac1: float | None


class Effective(NamedTuple):
    """The effective number of independent judges (Kish). value: at most `judges`, who all judged the n
    units and were wrong on some, but not on all alike."""

    value: float
    judges: int
    n: int


@dataclass(frozen=True)
class Votes:
    """Readable verdicts, one entry each: units (m,), annotators (m,) numbered from 0, category (m,)."""

    units: Ints
    annotators: Ints
    category: Ints
    n_units: int
    n_annotators: int

    @classmethod
    def of(cls, units: Ints, codes: Ints, category: Ints, wanted: Sequence[int], n_units: int) -> Votes:
        """The readable verdicts of the annotators with the wanted codes, numbered in that order.

        units, codes, category: (n,), one entry per judgement; category is -1 where it is unreadable.
        """
        place = np.full(max([*wanted, int(codes.max(initial=0))]) + 1, -1)
        place[list(wanted)] = np.arange(len(wanted))
        kept = (category >= 0) & (place[codes] >= 0)
        return cls(
            units=units[kept],
            annotators=place[codes[kept]],
            category=category[kept],
            n_units=n_units,
            n_annotators=len(wanted),
        )

    @property
    def counts(self) -> Ints:
        """The verdicts by category on each unit: (n_units, 3)."""
        return agreement.votes(self.units, self.category, self.n_units)

    def keep(self, annotators: Sequence[int] | Ints) -> Votes:
        """The verdicts of these annotators alone, numbered in this order from 0."""
        place = np.full(self.n_annotators, -1)
        place[annotators] = np.arange(len(annotators))
        kept = place[self.annotators] >= 0
        return Votes(
            units=self.units[kept],
            annotators=place[self.annotators[kept]],
            category=self.category[kept],
            n_units=self.n_units,
            n_annotators=len(annotators),
        )

    def one_each(self) -> Votes:
        """One verdict for each annotator and unit, as `one_vote_each` makes it."""
        found = one_vote_each(self.units, self.annotators, category=self.category, n_units=self.n_units)
        return Votes(
            units=found.units,
            annotators=found.voters,
            category=found.category,
            n_units=self.n_units,
            n_annotators=self.n_annotators,
        )


def pairs_of(votes: Votes, names: Sequence[str]) -> Iterator[PairAgreement]:
    """The agreement of every two annotators that share a unit. names: of the annotators, by number."""
    own = votes.one_each()
    tables = _tables(own)
    for i, j in combinations(range(own.n_annotators), 2):
        table = tables[i, j]
        if n := int(table.sum()):
            sums = cohen_counts(table.astype(float))
            kappa, ac1 = cohen_kappa(table), gwet_ac1(sums, int((sums[:-3] > 0).sum()))
            same = float(table[[0, 4, 8]].sum() / n)
            yield PairAgreement(names[i], names[j], n, same, cohen_kappa=_known(kappa), ac1=_known(ac1))


def _known(value: Floats) -> float | None:
    return None if np.isnan(value) else float(value)


def _tables(own: Votes) -> Ints:
    """(annotators, annotators, 9): how often the first said c and the second d of a unit, at [3 c + d].

    own: one verdict for each annotator and unit. Only the upper triangle is filled.
    """
    order = np.lexsort((own.annotators, own.units))
    unit, who, said = own.units[order], own.annotators[order], own.category[order]
    tables = np.zeros((own.n_annotators, own.n_annotators, 9), np.intp)
    for apart in range(1, own.n_annotators):  # verdicts of one unit stand together
        both = np.flatnonzero(unit[apart:] == unit[:-apart])
        if not both.size:
            break
        np.add.at(tables, (who[both], who[both + apart], 3 * said[both] + said[both + apart]), 1)
    return tables


def effective_judges_of(panel: Votes, truth: Ints) -> Effective | None:
    """The effective number of judges, from the correlation of their errors (`reliability.effective_judges`).

    truth (units,): the true category, -1 where it is unknown. An annotator's error on a unit is the share of
    its verdicts that are wrong. Annotators with less than half as many units as the busiest one are left
    out. None with fewer than 30 units in common, or where the number is undefined.
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
    worth = effective_judges(wrong[common][:, busy] / total[common][:, busy])
    return None if worth is None else Effective(worth.value, worth.judges, int(common.sum()))


def consensus_of(panel: Votes, truth: Ints, clusters: Ints) -> Consensus | str:
    """Dawid and Skene's consensus of one verdict each, or the reason why it was refused.

    truth (units,): the true category, -1 where it is unknown; known units are the anchors of the check.
    clusters (units,): the number of each unit's instruction.
    """
    own = panel.one_each()
    try:
        return anchored_consensus(
            Verdicts(own.units, own.annotators, own.category),
            truth=truth,
            n_annotators=panel.n_annotators,
            clusters=clusters,
        )
    except ValueError as refusal:
        return str(refusal)
