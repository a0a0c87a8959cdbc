"""The audit of one slice: every annotator against the reference, by itself, and beside the others.

The measures are defined in farm/statistics (profile, agreement, reliability, panel) and in docs/audit.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import NamedTuple

import numpy as np
import pandas as pd

from db.records import COMPOSITES
from farm.evaluation.audit_report import Agreement, AnnotatorAudit, Confusion, Panel, ReferenceAudit, Slice
from farm.evaluation.references import GROUPS, Who
from farm.evaluation.slices import Sample
from farm.statistics import profile, reliability
from farm.statistics.agreement import (
    Bools,
    Floats,
    Ints,
    agreement_on_equal_footing,
    agreement_with_mode,
    categories,
    clear_majority,
    modes,
)
from farm.statistics.bootstrap import Interval
from farm.statistics.measures import Measure, even_weights, intervals, mean_of, no_scale, ratio
from farm.statistics.panel import Votes, consensus_of, effective_judges_of, pairs_of
from farm.statistics.vote_distribution import least_brier, shares_of_counts


class _Members(NamedTuple):
    """The judgements of a reference's members, (n,) each: the question, the preference, others (n, 3): the
    votes of the other members, and a number of the member and question together."""

    places: Ints
    preference: Floats
    others: Ints
    cells: Ints

    @property
    def score(self) -> Floats:
        """The agreement of each judgement with the mode of the other members' votes: (n,)."""
        return agreement_with_mode(self.preference, self.others)

    def mean_of(self, scores: Floats, n: int) -> Measure:
        """The mean of scores over n questions; what a member gave of one question weighs 1 together."""
        return mean_of(self.places, scores, n, weights=even_weights(self.cells, scores))

    def score_of(self, units: Ints) -> Floats:
        """The mean agreement of the members with each other on each of these questions: (units,)."""
        n = int(max(units.max(initial=0), self.places.max(initial=0))) + 1
        total, weight = self.mean_of(self.score, n).sums[units].T
        with np.errstate(invalid="ignore", divide="ignore"):
            mean: Floats = total / weight
        return mean


@dataclass(frozen=True)
class SliceAudit:
    """The audit of one slice, before its intervals are drawn.

    reference: the annotators that the others are compared with. reference_name: the name that was asked for,
    None for the default. shown: the annotators to report. unreadable_is_wrong: an unreadable verdict counts
    as wrong in accuracy; otherwise it is left out.
    """

    sample: Sample
    reference: Sequence[Who]
    reference_name: str | None
    shown: Sequence[Who]
    unreadable_is_wrong: bool

    def report(self) -> Slice:
        """Every measure with its 95 % bounds by instruction."""
        found = [self._measured(each) for each in self._annotators]
        panel = self._panel()
        audits = tuple(
            self._annotator_audit(each, measured, panel)
            for each, measured in zip(self._annotators, found, strict=True)
        )
        pairs = tuple(pairs_of(self._verdicts, [each.name for each in self._annotators]))
        return Slice(
            where=self.sample.where,
            reference=self._reference_audit(
                intervals(self._reference_measures(), self.sample.units.instruction)
            ),
            annotators=audits,
            pairs=pairs,
            panel=panel,
        )

    def agreements(self) -> tuple[ReferenceAudit, tuple[Agreement, ...]]:
        """Of what `report` measures, agreement alone: of the reference, and of each annotator with it."""
        within = intervals(self._reference_agreement(), self.sample.units.instruction)
        return self._reference_audit(within), tuple(map(self._agreement, self._annotators))

    def _agreement(self, who: Who) -> Agreement:
        items, mine = self._judged_by(who)
        own = self._own(who)
        faced = profile.faced(self._counts[items], None if own is None else own[items])
        score = profile.agreement_score(mine.preference, profile.of_judgements(mine.units, faced))
        measure = profile.agreement(mine.units, score, len(items))
        interval = intervals({"agreement": measure}, self.sample.units.instruction[items])["agreement"]
        return Agreement(who.name, who.kind.value, len(mine.units), interval)

    def _judged_by(self, who: Who) -> tuple[Ints, profile.JudgementColumns]:
        """The questions that an annotator judged, and its judgements of them, numbered among these."""
        judged = self.sample.columns_of(who)
        items, local = np.unique(judged.units, return_inverse=True)
        return items, judged._replace(units=local)

    @cached_property
    def _annotators(self) -> tuple[Who, ...]:
        """The annotators to report that judged in this slice."""
        return tuple(each for each in self.sample.who if each in self.shown)

    @cached_property
    def _codes(self) -> set[int]:
        """The codes of the reference's members."""
        return {each.code for each in self.reference}

    @cached_property
    def _by_reference(self) -> Bools:
        """Whether each judgement is the reference's: (n,)."""
        return np.isin(self.sample.annotator, list(self._codes))

    @cached_property
    def _category(self) -> Ints:
        """The category of each judgement: (n,)."""
        return categories(self.sample.judged["preference"].to_numpy())

    @cached_property
    def _ballots(self) -> Votes:
        """The reference's votes, one of each member on each question."""
        return self._votes_of([each.code for each in self.reference]).one_each()

    @cached_property
    def _counts(self) -> Ints:
        """The reference's votes by category on each question: (units, 3)."""
        return self._ballots.counts

    def _own(self, who: Who) -> Ints | None:
        """A member's votes among those of the reference: (units, 3). None for anybody else."""
        if who.code not in self._codes:
            return None
        return self._ballots_of(who)

    def _ballots_of(self, member: Who) -> Ints:
        """A member's votes: (units, 3)."""
        return self._ballots.keep([list(self.reference).index(member)]).counts

    def _votes_of(self, codes: Sequence[int]) -> Votes:
        """All readable verdicts of the annotators with these codes."""
        sample = self.sample
        return Votes.of(
            sample.places, sample.annotator, category=self._category, wanted=codes, n_units=len(sample.units)
        )

    @cached_property
    def _members(self) -> _Members:
        """The judgements of the reference's members beside the votes of the other members."""
        inside, n = self._by_reference, len(self.sample.units)
        places, who = self.sample.places[inside], self.sample.annotator[inside]
        own = np.zeros((len(places), 3), dtype=np.int64)
        for each in self.reference:
            mine = who == each.code
            own[mine] = self._ballots_of(each)[places[mine]]
        preference = self.sample.judged["preference"].to_numpy()[inside]
        cells = np.unique(who * n + places, return_inverse=True)[1]
        return _Members(places, preference, self._counts[places] - own, cells)

    @cached_property
    def _verdicts(self) -> Votes:
        """The readable verdicts of the annotators to report."""
        return self._votes_of([each.code for each in self._annotators])

    def _measured(self, who: Who) -> dict[str, Interval]:
        """One annotator's measures over the questions that it judged."""
        items, mine = self._judged_by(who)
        units = self.sample.units.take(items)
        own, wrong = self._own(who), self.unreadable_is_wrong
        reference = profile.Reference(
            self._counts[items], None if own is None else own[items], self._members.score_of(items)
        )
        measures = profile.against_reference(mine, reference, units, unreadable_is_wrong=wrong)
        measures |= profile.by_itself(mine, units, unreadable_is_same=wrong)
        return intervals(measures, units.instruction)

    def _reference_agreement(self) -> dict[str, Measure]:
        """How far the reference's members agree with each other, and with the longer output."""
        n, members = len(self.sample.units), self._members
        longest = agreement_on_equal_footing(self.sample.units.longest, self._counts)
        return {
            "agreement": members.mean_of(members.score, n),
            "longest": mean_of(np.arange(n), longest, n),
        }

    def _reference_measures(self) -> dict[str, Measure]:
        """The measures of the reference's members among themselves."""
        n, counts, members = len(self.sample.units), self._counts, self._members
        voters = counts.sum(axis=1)
        raters = int(np.bincount(voters)[2:].argmax()) + 2 if voters.max(initial=0) > 1 else 2
        clear = clear_majority(members.preference, members.others)
        fleiss = reliability.fleiss_sums(counts, raters)
        several = voters > 1
        shares = reliability.gwet_sums(counts)
        agreement = self._reference_agreement()
        alpha = reliability.coincidences(counts, self.sample.units.times(several))
        return {
            "agreement": agreement["agreement"],
            "clear_majority_agreement": members.mean_of(clear, n),
            "brier": mean_of(np.arange(n), least_brier(shares_of_counts(counts)), n, scale=no_scale),
            "pairwise_agreement": Measure(reliability.pair_agreement(counts), ratio, several),
            "alpha": Measure(
                alpha,
                reliability.krippendorff_alpha,
                several,
                reliability.alpha_scale,
                least=reliability.LEAST,
            ),
            "fleiss_kappa": Measure(
                fleiss,
                reliability.fleiss_kappa,
                voters == raters,
                reliability.fleiss_scale,
                least=reliability.LEAST,
            ),
            "ac1": profile.gwet_measure(shares, voters > 0),
            "constant": Measure(shares, reliability.commonest_share, voters > 0),
            "unreadable": members.mean_of(np.isnan(members.preference).astype(float), n),
            "longest": agreement["longest"],
        }

    def _panel(self) -> Panel:
        """The annotators outside the reference together. Those made of others are none of them.

        Only people and gold standards are anchors of the consensus; another reference gives none.
        """
        voted = np.bincount(self._verdicts.annotators, minlength=len(self._annotators)) > 0
        outside = [
            i
            for i, each in enumerate(self._annotators)
            if voted[i] and each not in self.reference and each.kind not in COMPOSITES
        ]
        own = self._verdicts.keep(outside)
        chosen = modes(self._counts)
        truth = np.where(chosen.sum(axis=1) == 1, chosen.argmax(axis=1), -1)
        anchored = all(each.kind in GROUPS.values() for each in self.reference)
        anchors = truth if anchored else np.full_like(truth, -1)
        consensus = consensus_of(own, anchors, self.sample.units.instruction)
        names = tuple(self._annotators[i].name for i in outside)
        return Panel(names, effective_judges_of(own, truth), consensus)

    def _annotator_audit(self, who: Who, measured: Mapping[str, Interval], panel: Panel) -> AnnotatorAudit:
        rows = self.sample.rows_of(who)
        return AnnotatorAudit(
            name=who.name,
            kind=who.kind.value,
            n=len(rows),
            measures=dict(measured),
            price_per_1000=_per_1000(rows["price"]),
            seconds_per_1000=_per_1000(rows["seconds"]),
            confusion=Confusion(profile.confusion_table(self.sample.columns_of(who), self._counts)),
            reliability=panel.reliability(who.name),
        )

    def _reference_audit(self, measured: Mapping[str, Interval]) -> ReferenceAudit:
        kinds = sorted({each.kind.value for each in self.reference})
        return ReferenceAudit(
            name=self.reference_name or (kinds[0] if kinds else None),
            kinds=tuple(kinds),
            annotators=len(np.unique(self.sample.annotator[self._by_reference])),
            units=int((self._counts.sum(axis=1) > 0).sum()),
            n=int(self._by_reference.sum()),
            measures=dict(measured),
        )


def _per_1000(each: pd.Series[float]) -> float | None:
    """1000 times the mean of the known values; None where none is known. The order does not matter."""
    known = each.dropna()
    return 1000 * fmean(known) if len(known) else None
