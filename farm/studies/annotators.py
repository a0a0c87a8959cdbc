"""Compares simulators with people, by the measures of AlpacaFarm's figure 2."""

from __future__ import annotations

from db.ledger import Ledger
from farm.audit import AuditOptions, audit_ledger
from farm.studies.results import Annotators, rate_of


def compare_annotators(ledger: Ledger, source: str, simulators: str) -> Annotators:
    """Compare the annotator named `simulators` with all people, on the pairs of a source."""
    options = AuditOptions(source=source, annotators=(simulators,))
    found = audit_ledger(ledger, options).whole
    [judges], people = found.annotators, rate_of(found.reference.measures["agreement"])
    return Annotators(
        pairs=found.reference.units,
        people=people,
        simulators=rate_of(judges.measures["agreement"]),
        people_variance=1 - people.value,
        simulators_variance=rate_of(judges.measures["variance"]),
        simulators_bias=rate_of(judges.measures["bias"]),
        price_per_1000=judges.price_per_1000,
    )
