"""Agreement of annotators with people, with a gold standard and with each other: `farm audit`.

docs/audit.md defines the measures. All rates are shares in [0, 1] with 95 % bootstrap intervals by question.
"""

from __future__ import annotations

from dataclasses import dataclass

from db.errors import ConfigError
from db.ledger import Ledger
from db.queries.frames import Judgements
from farm.evaluation.audit_report import AuditReport, Slice
from farm.evaluation.questions import questioned
from farm.evaluation.references import annotators_named, named, reference_members
from farm.evaluation.slice_audit import SliceAudit
from farm.evaluation.slices import SLICES, Sample, samples_by, whole_sample

NULLS = ("wrong", "drop")


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


def audit_ledger(ledger: Ledger, options: AuditOptions) -> AuditReport:
    """Audit the judgements in a ledger. Raises ConfigError where none fits the options."""
    found = questioned(ledger, options.source, options.subset, options.labels, options.average_orders)
    if found.judgements.empty:
        what = "no judgement fits" if options.source or options.subset else "the ledger holds no judgement"
        raise ConfigError(what, where=str(ledger.address), remedy="`farm status` lists sources and subsets")
    return audit(found, options)


def audit(found: Judgements, options: AuditOptions) -> AuditReport:
    """Audit judgements that are given as frames, as db/queries/frames.py makes them.

    Raises ConfigError where an annotator or a reference of the options did not judge.
    """
    who = named(found.annotators)
    reference = reference_members(who, options.reference)
    shown = annotators_named(who, options.annotators)

    def measured(sample: Sample) -> Slice:
        under_way = SliceAudit(
            sample,
            reference=reference,
            reference_name=options.reference,
            shown=shown,
            unreadable_is_wrong=options.nulls == "wrong",
        )
        return under_way.report(options.draws, options.seed)

    slices = tuple(measured(sample) for sample in samples_by(found, who, reference, options.by))
    return AuditReport(measured(whole_sample(found, who)), slices, options.nulls, options.draws)
