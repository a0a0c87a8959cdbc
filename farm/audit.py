"""How far annotators agree with people, with a gold standard, with each other: `farm audit`.

The measures are defined in farm/statistics (profile, agreement, reliability) and in docs/audit.md. All rates
are fractions with 95 % bootstrap intervals by question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import NamedTuple

import numpy as np
import pandas as pd

from db.errors import ConfigError
from db.ledger import Ledger
from db.queries.frames import Judgements
from farm.evaluation.audit_report import AnnotatorAudit, AuditReport, Confusion, Panel, ReferenceAudit, Slice
from farm.evaluation.questions import questioned
from farm.evaluation.references import GROUPS, Who, _chosen, named, reference_members
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

NULLS = ("wrong", "drop")
TRIES = "tries"
SLICES = ("source", "subset", TRIES)


@dataclass(frozen=True)
class AuditOptions:
    """What to audit. None and () mean all; reference None means people, or else a gold standard."""

    source: str | None = None
    subset: str | None = None
    annotators: tuple[str, ...] = ()
    reference: str | None = None
    nulls: str = "wrong"  # an unreadable verdict counts as wrong in accuracy, or is left out ("drop")
    draws: int = 1000
    seed: int = 0
    by: tuple[str, ...] = ()
    labels: bool = False  # after label noise, in place of the judgements
    average_orders: bool = False  # a pair judged in both orders counts once, as the mean of both

    def __post_init__(self) -> None:
        if self.nulls not in NULLS:
            raise ConfigError(f"--nulls is {self.nulls!r}", remedy="wrong or drop")
        for name in self.by:
            if name not in SLICES:
                raise ConfigError(f"--by is {name!r}", remedy=f"one of {', '.join(SLICES)}")


@dataclass(frozen=True)
class Sample:
    """The judgements as arrays over dense unit numbers, and who made them."""

    units: profile.Units
    places: Ints  # (n,) unit of each judgement
    annotator: Ints  # (n,) code
    judged: pd.DataFrame  # preference, swapped, replicate, price, seconds
    who: tuple[Who, ...]

    def of(self, who: Who) -> tuple[profile.JudgementColumns, pd.DataFrame]:
        """The annotator's judgements, and the frame's rows of them."""
        mine = self.annotator == who.code
        rows = self.judged[mine]
        columns = (rows[name].to_numpy() for name in ("preference", "swapped", "replicate"))
        preference, swapped, replicate = columns
        return (
            profile.JudgementColumns(
                self.places[mine], preference, swapped.astype(np.int64), replicate.astype(np.int64)
            ),
            rows,
        )


def audit_ledger(ledger: Ledger, options: AuditOptions) -> AuditReport:
    """Audit the questions of a ledger. Raises ConfigError where nothing fits the options."""
    found = questioned(ledger, options.source, options.subset, options.labels, options.average_orders)
    if found.judgements.empty:
        what = "no judgement fits" if options.source or options.subset else "the ledger holds no judgement"
        raise ConfigError(what, where=str(ledger.address), remedy="`farm status` lists sources and subsets")
    return audit(found, options)


def audit(found: Judgements, options: AuditOptions) -> AuditReport:
    """Audit judgements given as frames (db/queries/frames.py)."""
    who = named(found.annotators)
    reference = reference_members(who, options.reference)
    shown = _chosen(who, options.annotators)
    whole = _slice(_sample(found.judgements, found.units, who), reference, shown, options)
    slices = tuple(
        replace(_slice(sample, reference, shown, options), where=where)
        for where, sample in _slices(found, who, reference, options.by)
    )
    return AuditReport(whole, slices, options.nulls, options.draws)


def _sample(rows: pd.DataFrame, units: pd.DataFrame, who: tuple[Who, ...]) -> Sample:
    codes = units["unit"].to_numpy()
    order = np.argsort(codes, kind="stable")
    places = order[np.searchsorted(codes, rows["unit"].to_numpy(), sorter=order)]
    features = profile.Units(
        units[["length_1", "length_2"]].to_numpy(dtype=np.int64),
        units[["list_1", "list_2"]].to_numpy(dtype=bool),
        units["identical"].to_numpy(dtype=bool),
    )
    present = set(rows["annotator"].unique())
    kept = tuple(each for each in who if each.code in present)
    return Sample(features, places, rows["annotator"].to_numpy(dtype=np.int64), rows, kept)


class _Part(NamedTuple):
    """Some of the questions, and what was judged of them. where: as of Slice."""

    where: Mapping[str, str | None]
    units: pd.DataFrame
    rows: pd.DataFrame


def _slices(
    found: Judgements, who: tuple[Who, ...], reference: Sequence[Who], by: Sequence[str]
) -> list[tuple[Mapping[str, str | None], Sample]]:
    """The sample of each source and subset, in the order of their names, of first and of later tries."""
    parts = _of_questions(found, [name for name in by if name != TRIES]) if by else []
    if TRIES in by:
        codes = [each.code for each in reference]
        parts = [each for part in parts for each in _of_tries(part, codes)]
    return [(part.where, _sample(part.rows, part.units, who)) for part in parts]


def _of_questions(found: Judgements, by: Sequence[str]) -> list[_Part]:
    if not by:
        return [_Part({}, found.units, found.judgements)]
    parts = []
    texts = found.units[list(by)].astype(object).where(found.units[list(by)].notna(), None)
    keys = list(map(tuple, texts.to_numpy().tolist()))
    for key in sorted(set(keys), key=str):
        units = found.units[[each == key for each in keys]]
        rows = found.judgements[found.judgements["unit"].isin(units["unit"])]
        if len(rows):
            parts.append(_Part(dict(zip(by, key, strict=True)), units, rows))
    return parts


def _of_tries(part: _Part, reference: Sequence[int]) -> Iterator[_Part]:
    """Judgements of replies that came at once, and of those that came after a failure, each beside all that
    the reference said of the same questions."""
    inside, retries = part.rows["annotator"].isin(reference), part.rows["retries"]
    for name, came in (("first", retries == 0), ("later", retries > 0)):
        mine = part.rows[came & ~inside]
        if len(mine):
            units = part.units[part.units["unit"].isin(mine["unit"])]
            rows = part.rows[(came | inside) & part.rows["unit"].isin(units["unit"])]
            yield _Part({**part.where, TRIES: name}, units, rows)


def _slice(sample: Sample, reference: Sequence[Who], shown: Sequence[Who], options: AuditOptions) -> Slice:
    members = {each.code for each in reference}
    in_reference = np.isin(sample.annotator, list(members))
    category = categories(sample.judged["preference"].to_numpy())
    counts = votes(sample.places[in_reference], category[in_reference], len(sample.units))
    chosen = [each for each in sample.who if each in shown]
    panels = [_measures(sample, each, counts, each.code in members, options) for each in chosen]
    panels.append(_reference_measures(sample, in_reference, counts))
    found = intervals(panels, len(sample.units), options.draws, options.seed)
    codes = [each.code for each in chosen]
    judges = Votes.of(sample.places, sample.annotator, category, codes, len(sample.units))
    rater_count = len({int(code) for code in sample.annotator[in_reference]})
    panel = _panel(judges, chosen, reference, counts)
    audits = tuple(
        _annotator_audit(sample, each, measured, counts, panel)
        for each, measured in zip(chosen, found, strict=False)
    )
    return Slice(
        {},
        _reference_audit(
            options.reference, reference, counts, int(in_reference.sum()), rater_count, found[-1]
        ),
        audits,
        tuple(pairs_of(judges, [each.name for each in chosen])),
        panel,
    )


def _panel(judges: Votes, chosen: Sequence[Who], reference: Sequence[Who], counts: Ints) -> Panel:
    """Those outside the reference with a verdict. Only people and gold standards anchor a consensus."""
    voted = np.bincount(judges.annotators, minlength=len(chosen)) > 0
    outside = [i for i, each in enumerate(chosen) if voted[i] and each not in reference]
    own = judges.keep(outside)
    truth = np.where(modes(counts).sum(axis=1) == 1, modes(counts).argmax(axis=1), -1)
    anchored = all(each.kind in GROUPS.values() for each in reference)
    consensus = consensus_of(own, truth if anchored else np.full_like(truth, -1))
    return Panel(tuple(chosen[i].name for i in outside), effective_judges_of(own, truth), consensus)


def _measures(sample: Sample, who: Who, counts: Ints, member: bool, options: AuditOptions) -> ItemMeasures:
    """The annotator's measures over its own units."""
    judged, _ = sample.of(who)
    items, local = np.unique(judged.units, return_inverse=True)
    own, units = judged._replace(units=local), sample.units.take(items)
    wrong = options.nulls == "wrong"
    return ItemMeasures(
        items,
        profile.against_reference(own, counts[items], units, member=member, unreadable_is_wrong=wrong)
        | profile.by_itself(own, units, unreadable_is_same=wrong),
    )


def _reference_measures(sample: Sample, inside: Bools, counts: Ints) -> ItemMeasures:
    """The reference's members with each other."""
    n, places = len(sample.units), sample.places[inside]
    preference = sample.judged["preference"].to_numpy()[inside]
    score = leave_one_out(preference, counts[places])
    raters = (
        int(np.bincount(counts.sum(axis=1))[2:].argmax()) + 2 if counts.sum(axis=1).max(initial=0) > 1 else 2
    )
    pairable = counts.sum(axis=1) > 1
    clear = clear_majority(preference, others(preference, counts[places]))
    longest = agreement_on_equal_footing(sample.units.longest, counts)
    return ItemMeasures(
        np.arange(n),
        {
            "agreement": mean_of(places, score, n),
            "clear_majority_agreement": mean_of(places, clear, n),
            "brier": mean_of(np.arange(n), least_brier(shares_of_counts(counts)), n),
            "pairwise_agreement": Measure(reliability.pair_agreement(counts), ratio, pairable),
            "alpha": Measure(reliability.coincidences(counts), reliability.krippendorff_alpha, pairable),
            "fleiss_kappa": Measure(
                reliability.fleiss_sums(counts, raters),
                reliability.fleiss_kappa,
                counts.sum(axis=1) == raters,
            ),
            "unreadable": mean_of(places, np.isnan(preference).astype(float), n),
            "longest": mean_of(np.arange(n), longest, n),
        },
    )


def _annotator_audit(
    sample: Sample, who: Who, measured: Mapping[str, Interval], counts: Ints, panel: Panel
) -> AnnotatorAudit:
    judged, rows = sample.of(who)
    table = profile.confusion_table(judged, counts)
    price, seconds = (_per_1000(rows[name]) for name in ("price", "seconds"))
    return AnnotatorAudit(
        who.name,
        who.kind.value,
        len(rows),
        dict(measured),
        price,
        seconds,
        Confusion(table),
        panel.reliability(who.name),
    )


def _reference_audit(
    name: str | None, members: Sequence[Who], counts: Ints, n: int, raters: int, found: Mapping[str, Interval]
) -> ReferenceAudit:
    kinds = sorted({each.kind.value for each in members})
    label = name or (kinds[0] if kinds else None)
    return ReferenceAudit(label, tuple(kinds), raters, int((counts.sum(axis=1) > 0).sum()), n, dict(found))


def _per_1000(each: pd.Series[float]) -> float | None:
    """Of the judgements for which it is known; the same in whatever order they came."""
    known = each.dropna()
    return 1000 * fmean(known) if len(known) else None
