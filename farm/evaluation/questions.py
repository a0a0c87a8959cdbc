"""Which questions of the ledger count: not those that are made to test judges."""

from __future__ import annotations

from dataclasses import replace

from annotators.rules import has_list
from db.ledger import Ledger
from db.queries.frames import Judgements, judgements
from farm.evaluation.attacks import SOURCE as ATTACKS

CATCH_SOURCE = "catch"  # what outputs beside themselves stand under
CATCH_PREFIX = "catch:"  # of their producers' names, so that they are no model's
MADE_TO_TEST = (ATTACKS, CATCH_SOURCE)  # sources of pairs that are no study's


def questioned(
    ledger: Ledger,
    source: str | None = None,
    subset: str | None = None,
    labels: bool = False,
    average_orders: bool = False,
) -> Judgements:
    """The judgements of the ledger as frames, as `db.queries.frames.judgements` gives them.

    Pairs that are made to mislead judges, or to catch people who do not look, are left out unless their
    source is asked for by name.
    """
    found = judgements(ledger, has_list, source, subset, labels, average_orders)
    if source is not None:
        return found
    units = found.units[~found.units["source"].isin(MADE_TO_TEST)]
    rows = found.judgements[found.judgements["unit"].isin(units["unit"])]
    return replace(found, units=units, judgements=rows)
