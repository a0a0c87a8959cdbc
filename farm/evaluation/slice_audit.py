"""The audit of one slice: every annotator against the reference, by itself, and beside the others.

The measures are defined in farm/statistics (profile, agreement, reliability, panel) and in docs/audit.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

import numpy as np
import pandas as pd

from farm.evaluation.audit_report import AnnotatorAudit, Confusion, Panel, ReferenceAudit, Slice
from farm.evaluation.references import GROUPS, Who
from farm.evaluation.slices import Sample
from farm.statistics import profile, reliability
from farm.statistics.agreement import (
    Bools,
    Ints,
    agreement_on_equal_footing,
    categories,
    clear_majority,
    leave_one_out,
    modes,
    others,
    votes,
)
from farm.statistics.bootstrap import Interval, ItemMeasures, Measure, intervals, mean_of, ratio
from farm.statistics.panel import Votes, consensus_of, effective_judges_of, pairs_of
from farm.statistics.vote_distribution import least_brier, shares_of_counts


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

    def report(self, draws: int, seed: int) -> Slice:
        """Every measure with its 95 % interval from `draws` bootstrap draws of questions."""
        measures = [self._measures(each) for each in self._annotators]
        measures.append(self._reference_measures())
        found = intervals(measures, len(self.sample.units), draws, seed)
        panel = self._panel()
        audits = tuple(
            self._annotator_audit(each, measured, panel)
            for each, measured in zip(self._annotators, found[:-1], strict=True)
        )
        pairs = tuple(pairs_of(self._verdicts, [each.name for each in self._annotators]))
        return Slice(
            where=self.sample.where,
            reference=self._reference_audit(found[-1]),
            annotators=audits,
            pairs=pairs,
            panel=panel,
        )

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
    def _counts(self) -> Ints:
        """The reference's votes by category on each question: (units, 3)."""
        mine = self._by_reference
        return votes(self.sample.places[mine], self._category[mine], len(self.sample.units))

    @cached_property
    def _verdicts(self) -> Votes:
        """The readable verdicts of the annotators to report."""
        codes = [each.code for each in self._annotators]
        sample = self.sample
        return Votes.of(
            sample.places, sample.annotator, category=self._category, wanted=codes, n_units=len(sample.units)
        )

    def _measures(self, who: Who) -> ItemMeasures:
        """One annotator's measures over the questions that it judged."""
        judged = self.sample.columns_of(who)
        items, local = np.unique(judged.units, return_inverse=True)
        own, units = judged._replace(units=local), self.sample.units.take(items)
        member, wrong = who.code in self._codes, self.unreadable_is_wrong
        return ItemMeasures(
            items,
            profile.against_reference(
                own, self._counts[items], units, member=member, unreadable_is_wrong=wrong
            )
            | profile.by_itself(own, units, unreadable_is_same=wrong),
        )

    def _reference_measures(self) -> ItemMeasures:
        """The measures of the reference's members among themselves."""
        n, counts, inside = len(self.sample.units), self._counts, self._by_reference
        places = self.sample.places[inside]
        preference = self.sample.judged["preference"].to_numpy()[inside]
        voters = counts.sum(axis=1)
        raters = int(np.bincount(voters)[2:].argmax()) + 2 if voters.max(initial=0) > 1 else 2
        score = leave_one_out(preference, counts[places])
        clear = clear_majority(preference, others(preference, counts[places]))
        longest = agreement_on_equal_footing(self.sample.units.longest, counts)
        fleiss = reliability.fleiss_sums(counts, raters)
        return ItemMeasures(
            np.arange(n),
            {
                "agreement": mean_of(places, score, n),
                "clear_majority_agreement": mean_of(places, clear, n),
                "brier": mean_of(np.arange(n), least_brier(shares_of_counts(counts)), n),
                "pairwise_agreement": Measure(reliability.pair_agreement(counts), ratio, voters > 1),
                "alpha": Measure(
                    reliability.coincidences(counts), reliability.krippendorff_alpha, voters > 1
                ),
                "fleiss_kappa": Measure(fleiss, reliability.fleiss_kappa, voters == raters),
                "unreadable": mean_of(places, np.isnan(preference).astype(float), n),
                "longest": mean_of(np.arange(n), longest, n),
            },
        )

    def _panel(self) -> Panel:
        """The annotators outside the reference together.

        Only people and gold standards are anchors of the consensus; another reference gives none.
        """
        voted = np.bincount(self._verdicts.annotators, minlength=len(self._annotators)) > 0
        outside = [i for i, each in enumerate(self._annotators) if voted[i] and each not in self.reference]
        own = self._verdicts.keep(outside)
        chosen = modes(self._counts)
        truth = np.where(chosen.sum(axis=1) == 1, chosen.argmax(axis=1), -1)
        anchored = all(each.kind in GROUPS.values() for each in self.reference)
        consensus = consensus_of(own, truth if anchored else np.full_like(truth, -1))
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
