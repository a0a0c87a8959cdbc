"""The replies that were stored or imported with an annotator's judgements, to be parsed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from db.ledger import Ledger
from db.tables import ANNOTATION, CLAIM_SLOT, COMPLETION, IMPORTED, ITEM

LOOKUP = 5_000


@dataclass(frozen=True, slots=True)
class Recording:
    """The reply that a judgement was read from."""

    pair_id: int
    replicate: int
    swapped: bool  # output_b was shown first; where an import does not say, its own order is assumed
    text: str | None  # None where no reply was kept
    reason: str | None  # why the judgement has no preference
    failure: str | None = None  # as in Completion, likewise detail, top_logprobs and thinking
    detail: str = ""
    top_logprobs: str | None = None
    thinking: str = ""
    completion_id: int | None = None  # of a reply to our own request; None for an imported reply
    slot: int = 0  # the pair's place in that request
    pairs: int = 1  # how many pairs that request shows


def recordings(
    ledger: Ledger, annotator_id: int, pair_ids: Sequence[int], source: str = ""
) -> Iterator[Recording]:
    """Yield the latest reply to every question that this annotator was asked about these pairs.

    source: only replies imported from this source. Imported rows that ask the same question about one pair
    become replicates, numbered in the order in which they were written.
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
    """Whether the ledger keeps any reply of this annotator, imported from `source` where one is given."""
    query = _query(annotator_id, None, source).where(
        func.coalesce(COMPLETION.c.text, IMPORTED.c.raw_completion).is_not(None)
    )
    return next(ledger.stream(query.limit(1)), None) is not None


def _query(annotator_id: int, pair_ids: Sequence[int] | None, source: str) -> Any:
    row = ANNOTATION.c
    shown_together = select(func.count()).where(CLAIM_SLOT.c.claim_id == row.completion_id).scalar_subquery()
    query = (
        select(
            row.pair_id, row.item_id, row.replicate, row.swapped, row.reason, row.completion_id, row.slot,
            ITEM.c.flipped, IMPORTED.c.raw_completion, COMPLETION.c.text, COMPLETION.c.failure,
            COMPLETION.c.detail, COMPLETION.c.top_logprobs, COMPLETION.c.thinking,
            shown_together.label("pairs"),
        )
        .outerjoin(ITEM, ITEM.c.id == row.item_id)
        .outerjoin(IMPORTED, IMPORTED.c.annotation_id == row.id)
        .outerjoin(COMPLETION, COMPLETION.c.claim_id == row.completion_id)
        .where(row.annotator_id == annotator_id)
        .order_by(row.attempt, row.id)
    )  # fmt: skip
    if pair_ids is not None:
        query = query.where(row.pair_id.in_(pair_ids))
    return query.where(ITEM.c.source == source) if source else query


def _recording(row: Any, replicate: int, swapped: bool) -> Recording:
    if row.completion_id is None:
        return Recording(
            pair_id=row.pair_id,
            replicate=replicate,
            swapped=swapped,
            text=row.raw_completion,
            reason=row.reason,
        )
    return Recording(
        pair_id=row.pair_id,
        replicate=replicate,
        swapped=swapped,
        text=row.text,
        reason=row.reason,
        failure=row.failure,
        detail=row.detail,
        top_logprobs=row.top_logprobs,
        thinking=row.thinking,
        completion_id=row.completion_id,
        slot=row.slot,
        pairs=row.pairs,
    )
