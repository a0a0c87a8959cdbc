"""Judges' own words, to be read again: the replies stored or imported with an annotator's judgements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from db.ledger import Ledger
from db.tables import CLAIM_SLOT, AnnotationRow, CompletionRow, ImportedRow, ItemRow

LOOKUP = 5_000


@dataclass(frozen=True, slots=True)
class Recording:
    """A judgement's reply. text: None where none was kept, reason: why that may be.

    swapped: output_b was shown first; where an import does not say, as the import stores the pair.
    failure: the name of what went wrong when it was asked. top_logprobs: JSON, as of Completion.
    completion_id, slot, pairs: for replies to requests of ours, which, and the place among its pairs.
    """

    pair_id: int
    replicate: int
    swapped: bool
    text: str | None
    reason: str | None
    failure: str | None = None
    detail: str = ""
    top_logprobs: str | None = None
    completion_id: int | None = None
    slot: int = 0
    pairs: int = 1


def recordings(
    ledger: Ledger, annotator_id: int, pair_ids: Sequence[int], source: str = ""
) -> Iterator[Recording]:
    """The latest reply to every question that this annotator was asked about these pairs.

    source: only what was imported from there. Imported rows that ask the same of one pair are replicates,
    in the order in which they came.
    """
    for i in range(0, len(pair_ids), LOOKUP):
        latest: dict[tuple[object, ...], Any] = {}
        for row in ledger.stream(_query(annotator_id, pair_ids[i : i + LOOKUP], source)):
            latest[row.pair_id, row.item_id, row.replicate, row.swapped] = row
        taken: set[tuple[int, int, bool]] = set()
        for row in latest.values():
            swapped = bool(row.flipped) if row.swapped is None else bool(row.swapped)
            replicate = row.replicate
            while (row.pair_id, replicate, swapped) in taken:
                replicate += 1
            taken.add((row.pair_id, replicate, swapped))
            yield _recording(row, replicate, swapped)


def has_recordings(ledger: Ledger, annotator_id: int, source: str = "") -> bool:
    """Whether any reply of this annotator is kept."""
    query = _query(annotator_id, None, source).where(
        func.coalesce(CompletionRow.text, ImportedRow.raw_completion).is_not(None)
    )
    return next(ledger.stream(query.limit(1)), None) is not None


def _query(annotator_id: int, pair_ids: Sequence[int] | None, source: str) -> Any:
    row = AnnotationRow
    shown_together = select(func.count()).where(CLAIM_SLOT.c.claim_id == row.completion_id).scalar_subquery()
    query = (
        select(
            row.pair_id, row.item_id, row.replicate, row.swapped, row.reason, row.completion_id, row.slot,
            ItemRow.flipped, ImportedRow.raw_completion, CompletionRow.text, CompletionRow.failure,
            CompletionRow.detail, CompletionRow.top_logprobs, shown_together.label("pairs"),
        )
        .outerjoin(ItemRow, ItemRow.id == row.item_id)
        .outerjoin(ImportedRow, ImportedRow.annotation_id == row.id)
        .outerjoin(CompletionRow, CompletionRow.claim_id == row.completion_id)
        .where(row.annotator_id == annotator_id)
        .order_by(row.attempt, row.id)
    )  # fmt: skip
    if pair_ids is not None:
        query = query.where(row.pair_id.in_(pair_ids))
    return query.where(ItemRow.source == source) if source else query


def _recording(row: Any, replicate: int, swapped: bool) -> Recording:
    if row.completion_id is None:
        return Recording(row.pair_id, replicate, swapped, row.raw_completion, row.reason)
    return Recording(
        row.pair_id,
        replicate,
        swapped,
        row.text,
        row.reason,
        row.failure,
        row.detail,
        row.top_logprobs,
        row.completion_id,
        row.slot,
        row.pairs,
    )
