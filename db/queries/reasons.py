"""Why judgements of an annotator have no verdict, by kinds of reasons."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import func, select

from db.ledger import Ledger
from db.records import AnnotationStatus
from db.tables import ANNOTATION

UNREAD = (AnnotationStatus.UNREADABLE, AnnotationStatus.FAILED)
_FIGURE = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?|'[^']*'")


@dataclass(frozen=True, slots=True)
class Unread:
    """Judgements without a verdict for one kind of reason. example: the id of the first of them."""

    status: AnnotationStatus
    reason: str
    judgements: int
    example: int


def kind_of(reason: str) -> str:
    """The kind of a reason: reasons that differ in figures or quoted words alone are of one kind."""
    return _FIGURE.sub("#", reason)


def reasons_of(ledger: Ledger, annotator_id: int) -> list[Unread]:
    """The kinds of reasons, commonest first. Earlier attempts at a judgement count too."""
    row = ANNOTATION.c
    query = (
        select(row.status, row.reason, func.count().label("judgements"), func.min(row.id).label("example"))
        .where(row.annotator_id == annotator_id, row.status.in_([each.value for each in UNREAD]))
        .group_by(row.status, row.reason)
        .order_by(func.min(row.id))
    )
    found: dict[tuple[str, str], Unread] = {}
    for each in ledger.stream(query):
        key = (each.status, kind_of(each.reason or ""))
        first = found.get(key)
        found[key] = Unread(
            status=AnnotationStatus(each.status),
            reason=first.reason if first else each.reason or "",
            judgements=int(each.judgements) + (first.judgements if first else 0),
            example=first.example if first else int(each.example),
        )
    return sorted(found.values(), key=lambda each: -each.judgements)
