"""Which annotators may be bought beside people, what they cost, and which are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db.errors import ConfigError
from db.records import AnnotatorKind
from farm.evaluation.plan_pool import PlanPool, PossibleJudge
from farm.evaluation.plan_targets import PlanTarget
from farm.options.people import Planning
from farm.statistics.judge_choice import ChosenJudges, choose_judges
from farm.statistics.prediction_powered import FEWEST_LABELS

Bools = NDArray[np.bool_]
NOBODY = ChosenJudges((), (), 0.0)


@dataclass(frozen=True)
class Buying:
    """The annotators that were compared, and who was chosen.

    names, costs: of those compared; costs are in US dollars, for the questions that they have not judged.
    left_out: the others, with the reason. unpriced: those whose price is unknown and counts as 0.
    """

    names: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    unpriced: tuple[str, ...] = ()
    chosen: ChosenJudges = NOBODY

    def called(self, members: Sequence[int]) -> tuple[str, ...]:
        """The names of members of a set."""
        return tuple(self.names[each] for each in members)


@dataclass(frozen=True)
class _Offer:
    """An annotator with its price for what it has not judged; None: unknown."""

    who: PossibleJudge
    cost: float | None


def buying(
    pool: PlanPool, wanted: Planning, names: Sequence[str], *, targets: Sequence[PlanTarget], alone: int
) -> Buying:
    """Choose among the annotators of these names, or among all but gold standards.

    alone: the questions that people would have to label alone. An annotator is compared on the labelled
    questions that it shares with the others, and left out where these would become too few.
    """
    told = wanted.prices()
    if unknown := set(told) - set(pool.candidates):
        raise ConfigError(f"--price names {sorted(unknown)[0]!r}, who judged no pair here", where="--price")
    rows = np.any([each.rows for each in targets], axis=0)
    labelled = np.any([~np.isnan(each.labels) for each in targets], axis=0)
    times = 1.0 if wanted.pool is None else wanted.pool / len(rows)
    offers, left_out = [], []
    for each in pool.candidates.values():
        if each.name not in names and (names or each.kind is AnnotatorKind.GOLD):
            continue
        open_ones = max(0.0, rows.sum() * times - (rows & each.asked).sum())
        price = told.get(each.name, each.price)
        cost = 0.0 if open_ones == 0 else None if price is None else price * open_ones
        if (why := _refused(cost, wanted)) is None:
            offers.append(_Offer(each, cost))
        else:
            left_out.append((each.name, why))
    offers, shared, strangers = _sharing(offers, labelled)
    chosen = NOBODY
    if offers:
        chosen = _chosen(pool, wanted, offers, targets=targets, shared=shared, alone=alone)
    return Buying(
        names=tuple(each.who.name for each in offers),
        left_out=tuple(left_out + strangers),
        unpriced=tuple(each.who.name for each in offers if each.cost is None),
        chosen=chosen,
    )


def _refused(cost: float | None, wanted: Planning) -> str | None:
    if cost is None and (wanted.budget is not None or wanted.label_price is not None):
        return "its price is unknown: --price NAME=DOLLARS for one question"
    if cost is not None and wanted.budget is not None and cost > wanted.budget:
        return f"it costs ${cost:,.2f}, more than the budget"
    return None


def _sharing(offers: Sequence[_Offer], labelled: Bools) -> tuple[list[_Offer], Bools, list[tuple[str, str]]]:
    """Those who judged enough labelled questions together, these questions, and who did not."""
    shared, kept, strangers = labelled, [], []
    least = max(FEWEST_LABELS, int(labelled.sum()) // 2)
    for each in sorted(offers, key=lambda one: -int((one.who.asked & labelled).sum())):
        both = shared & each.who.asked
        if both.sum() >= least:
            kept.append(each)
            shared = both
        else:
            judged = int((each.who.asked & labelled).sum())
            why = f"it judged {judged:,} of the {labelled.sum():,} labelled questions, too few to compare"
            strangers.append((each.who.name, why))
    return kept, shared, strangers


def _chosen(
    pool: PlanPool,
    wanted: Planning,
    offers: Sequence[_Offer],
    *,
    targets: Sequence[PlanTarget],
    shared: Bools,
    alone: int,
) -> ChosenJudges:
    """The choice on the shared questions; labels and verdicts are less the mean of each model's."""
    told = np.column_stack([np.nan_to_num(each.who.verdicts, nan=0.5) for each in offers])
    labels, verdicts, clusters = [], [], []
    for target in targets:
        rows = shared & ~np.isnan(target.labels)
        if not rows.any():
            continue
        mine = np.where(target.mirrored[rows, None], 1 - told[rows], told[rows])
        labels.append(target.labels[rows] - target.labels[rows].mean())
        verdicts.append(mine - mine.mean(axis=0))
        clusters.append(pool.instructions[rows])
    return choose_judges(
        np.concatenate(labels),
        np.concatenate(verdicts),
        np.unique(np.concatenate(clusters), return_inverse=True)[1],
        np.array([each.cost or 0.0 for each in offers]),
        budget=np.inf if wanted.budget is None else wanted.budget,
        label_bill=None if wanted.label_price is None else wanted.label_price * alone,
        assurance=wanted.assurance,
        runs=wanted.runs,
        seed=wanted.seed,
    )
