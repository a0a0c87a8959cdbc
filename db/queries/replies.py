"""Every judgement of single pairs, with the judge's own words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from db.ledger import Ledger
from db.records import AnnotationStatus, AnnotatorKind
from db.tables import ANNOTATION, ANNOTATOR, COMPLETION, IMPORTED


@dataclass(frozen=True, slots=True)
class JudgementWithReply:
    """One judgement, the latest attempt at it. reply: the judge's own text, where there is one."""

    pair_id: int
    annotator: str
    kind: AnnotatorKind
    preference: float | None  # P(output_a preferred)
    label: float | None
    status: AnnotationStatus
    reason: str | None
    swapped: bool | None
    replicate: int
    reply: str | None


def said_of(ledger: Ledger, pair_ids: Sequence[int]) -> Iterator[JudgementWithReply]:
    """Yield the judgements of these pairs, by pair and then in the order of their latest attempts.

    Judgements that were taken back are left out.
    """
    row = ANNOTATION.c
    query = (
        select(
            row.pair_id, row.annotator_id, row.item_id, row.replicate, row.swapped, row.preference, row.label,
            row.status, row.reason, ANNOTATOR.c.name, ANNOTATOR.c.kind,
            func.coalesce(COMPLETION.c.text, IMPORTED.c.raw_completion).label("reply"),
        )
        .join(ANNOTATOR, ANNOTATOR.c.id == row.annotator_id)
        .outerjoin(IMPORTED, IMPORTED.c.annotation_id == row.id)
        .outerjoin(COMPLETION, COMPLETION.c.claim_id == row.completion_id)
        .where(row.pair_id.in_(pair_ids))
        .order_by(row.pair_id, row.attempt, row.id)
    )  # fmt: skip
    latest: dict[tuple[object, ...], Any] = {}
    for each in ledger.stream(query):
        asked = (each.pair_id, each.annotator_id, each.item_id, each.replicate, each.swapped)
        latest.pop(asked, None)
        latest[asked] = each
    for each in latest.values():
        if each.status != AnnotationStatus.RETRACTED.value:
            yield JudgementWithReply(
                pair_id=each.pair_id,
                annotator=each.name,
                kind=AnnotatorKind(each.kind),
                preference=each.preference,
                label=each.label,
                status=AnnotationStatus(each.status),
                reason=each.reason,
                swapped=None if each.swapped is None else bool(each.swapped),
                replicate=each.replicate,
                reply=each.reply,
            )
