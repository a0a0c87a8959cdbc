"""Agreement of annotators with people, with a gold standard and with each other: `farm audit`.

docs/audit.md defines the measures. All rates are shares in [0, 1] with 95 % bounds by instruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from annotators.prices import PriceTable
from db.errors import ConfigError
from db.ledger import Ledger
from db.queries.aspects import require_aspect
from db.queries.frames import Judgements
from db.queries.holdings import names_of
from farm.evaluation.audit_report import Agreement, AuditReport, ReferenceAudit, Slice
from farm.evaluation.benchmarks import benchmark_audit, of_benchmark, require_benchmark
from farm.evaluation.coverage import coverage
from farm.evaluation.drift_audit import drift_audit
from farm.evaluation.families import Kinship, told_families
from farm.evaluation.family_audit import family_audit
from farm.evaluation.pair_audit import pair_audit
from farm.evaluation.questions import questioned
from farm.evaluation.rating_audit import audit_ratings
from farm.evaluation.references import Who, annotators_named, named, reference_members
from farm.evaluation.requirements import checked, rules_of
from farm.evaluation.slice_audit import SliceAudit
from farm.evaluation.slices import Sample, samples_by, whole_sample
from farm.evaluation.strength_audit import strength_audit
from farm.evaluation.trait_audit import trait_audit
from farm.evaluation.worst_pairs import ToldPair, told_pairs, worst_pairs
from farm.options.audit import AuditOptions as AuditOptions


def audit_ledger(ledger: Ledger, options: AuditOptions) -> AuditReport:
    """Audit the judgements in a ledger. Raises ConfigError where none fits the options."""
    rules = rules_of(options.require, options.require_file)
    options = of_benchmark(options)
    if options.aspect is not None:
        require_aspect(ledger, options.aspect)
    found = questioned(
        ledger,
        options.source,
        subset=options.subset,
        labels=options.labels,
        average_orders=options.average_orders,
        aspect=options.aspect,
    )
    require_benchmark(options, ledger, found)
    whole = options.aspect is None  # what follows is about outputs and judgements as wholes
    ratings = audit_ratings(ledger, options) if whole else None
    if found.judgements.empty and ratings is not None:
        return replace(audit(found, replace(options, annotators=(), reference=None)), ratings=ratings)
    if found.judgements.empty:
        what = "no judgement fits" if options.source or options.subset else "the ledger holds no judgement"
        raise ConfigError(what, where=str(ledger.address), remedy="`farm status` lists sources and subsets")
    report = covered(ledger, found, audit(found, options), options)
    who = named(found.annotators)
    shown = annotators_named(who, options.annotators)
    reference = reference_members(who, options.reference)
    known = _kinship(options) if options.families else None
    return replace(
        report,
        ratings=ratings,
        benchmark=benchmark_audit(ledger, found, options, reference=reference, shown=shown),
        traits=trait_audit(ledger, found, reference, shown) if options.traits else None,
        families=family_audit(ledger, found, reference, shown, kinship=known) if known else None,
        drift=drift_audit(ledger, found, reference, shown) if options.drift else None,
        pairs=pair_audit(ledger, found, shown) if options.pairs else None,
        strengths=strength_audit(ledger, found, reference, shown) if whole else None,
        rules=checked(rules, report.whole),
        disagreements=_disagreements(ledger, found, reference, shown, limit=options.disagreements),
        aspect=options.aspect,
        aspects=tuple(sorted(names_of(ledger, "aspect"))),
    )


def _kinship(options: AuditOptions) -> Kinship:
    """The families that the options and the price table tell. Raises ConfigError for a wrong price table."""
    table = PriceTable.load(options.prices).families.of
    return Kinship(table, told_families(options.family), told_families(options.taught))


def _disagreements(
    ledger: Ledger, found: Judgements, reference: Sequence[Who], shown: Sequence[Who], *, limit: int
) -> tuple[ToldPair, ...]:
    people = {each.code for each in reference}
    judges = {each.code for each in shown} - people
    return tuple(told_pairs(ledger, worst_pairs(found, people, judges, limit))) if limit else ()


def covered(ledger: Ledger, found: Judgements, report: AuditReport, options: AuditOptions) -> AuditReport:
    """The report with what panels and cascades decided, and what that cost.

    found, options: those of the report.
    """
    shown = annotators_named(named(found.annotators), options.annotators)
    right = {each.name: each.measures["accuracy"] for each in report.whole.annotators}
    of = coverage(ledger, shown, set(found.units["pair_id"]), right)
    prices = {each.annotator: each.price_per_1000 for each in of}
    annotators = tuple(
        replace(each, price_per_1000=prices.get(each.name, each.price_per_1000))
        for each in report.whole.annotators
    )
    return replace(report, whole=replace(report.whole, annotators=annotators), coverage=of)


def audit(found: Judgements, options: AuditOptions) -> AuditReport:
    """Audit judgements that are given as frames, as db/queries/frames.py makes them.

    Raises ConfigError where an annotator or a reference of the options did not judge.
    """
    who = named(found.annotators)
    reference = reference_members(who, options.reference)
    shown = annotators_named(who, options.annotators)

    def measured(sample: Sample) -> Slice:
        return _slice_audit(sample, options, reference, shown=shown).report()

    slices = tuple(measured(sample) for sample in samples_by(found, who, reference, options.by))
    return AuditReport(measured(whole_sample(found, who)), slices, options.nulls)


def agreements(found: Judgements) -> tuple[ReferenceAudit, tuple[Agreement, ...]]:
    """Of what `audit` measures, the agreement of people, and that of every annotator with them, alone."""
    who, options = named(found.annotators), AuditOptions()
    people = reference_members(who, options.reference)
    return _slice_audit(whole_sample(found, who), options, people, shown=who).agreements()


def _slice_audit(
    sample: Sample, options: AuditOptions, reference: Sequence[Who], *, shown: Sequence[Who]
) -> SliceAudit:
    return SliceAudit(
        sample,
        reference=reference,
        reference_name=options.reference,
        shown=shown,
        unreadable_is_wrong=options.nulls == "wrong",
    )
