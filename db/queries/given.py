"""The judgements that one annotator has made here so far, in the order in which they were written."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from db.ledger import Ledger
from db.records import AnnotationStatus
from db.tables import ANNOTATION, COMPLETION, PAIR


@dataclass(frozen=True, slots=True)
class Given:
    """The latest attempt at one question."""

    id: int  # of the annotation
    pair_key: str
    swapped: bool
    attempt: int
    status: AnnotationStatus
    preference: float | None  # P(output_a preferred)
    seconds: float | None  # how long the judgement took; None where unknown


def given_by(ledger: Ledger, annotator_id: int) -> list[Given]:
    """The judgements of replicate 0 that this annotator made here. Those taken back are among them."""
    row = ANNOTATION.c
    query = (
        select(row.id, PAIR.c.key, row.swapped, row.attempt, row.status, row.preference, COMPLETION.c.seconds)
        .join(PAIR, PAIR.c.id == row.pair_id)
        .outerjoin(COMPLETION, COMPLETION.c.claim_id == row.completion_id)
        .where(
            row.annotator_id == annotator_id,
            row.item_id.is_(None),
            row.replicate == 0,
            row.swapped.is_not(None),
        )
        .order_by(row.attempt)
    )
    latest = {
        (each.key, each.swapped): Given(
            id=each.id,
            pair_key=each.key,
            swapped=bool(each.swapped),
            attempt=each.attempt,
            status=AnnotationStatus(each.status),
            preference=each.preference,
            seconds=each.seconds,
        )
        for each in ledger.stream(query)
    }
    return sorted(latest.values(), key=lambda each: each.id)
