"""The questions of the ledger that count: all but those that are made to test judges."""

from __future__ import annotations

from dataclasses import replace

from annotators.lists import has_list
from db.ledger import Ledger
from db.queries.frames import Judgements, judgements
from farm.evaluation.attacks import SOURCE as ATTACKS

CATCH_SOURCE = "catch"  # the source of pairs of an output with itself
CATCH_PREFIX = "catch:"  # begins the names of their producers, so that no model has them
MADE_TO_TEST = (ATTACKS, CATCH_SOURCE)  # sources whose pairs belong to no study


def questioned(
    ledger: Ledger,
    source: str | None = None,
    subset: str | None = None,
    labels: bool = False,
    average_orders: bool = False,
    aspect: str | None = None,
) -> Judgements:
    """The judgements of the ledger as frames, as `db.queries.frames.judgements` gives them.

    source, subset: only questions from there. labels: labels after noise take the place of preferences.
    average_orders: a pair judged in both orders counts once. aspect: the verdicts on this criterion. Pairs
    that are made to mislead judges, or to catch people who do not look, are left out unless `source` names
    them.
    """
    found = judgements(
        ledger,
        has_list,
        source=source,
        subset=subset,
        labels=labels,
        average_orders=average_orders,
        aspect=aspect,
    )
    if source is not None:
        return found
    units = found.units[~found.units["source"].isin(MADE_TO_TEST)]
    rows = found.judgements[found.judgements["unit"].isin(units["unit"])]
    return replace(found, units=units, judgements=rows)
