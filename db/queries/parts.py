"""What judgements of panels and cascades were made of, by what their parts answer."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select

from db.ledger import Ledger
from db.tables import ANNOTATION, MADE_OF


class PartAnswered(NamedTuple):
    """A judgement that another one of the same pair was made of. swapped: output_b was shown first."""

    annotator_id: int
    replicate: int
    swapped: bool | None
    attempt: int


def parts_between(ledger: Ledger, first: int, last: int) -> dict[int, tuple[PartAnswered, ...]]:
    """The parts of the judgements with ids from `first` to `last`, by id; none where it has none."""
    part, found = ANNOTATION.c, dict[int, list[PartAnswered]]()
    query = (
        select(MADE_OF.c.annotation_id, part.annotator_id, part.replicate, part.swapped, part.attempt)
        .join(ANNOTATION, part.id == MADE_OF.c.part_id)
        .where(MADE_OF.c.annotation_id.between(first, last))
        .order_by(MADE_OF.c.annotation_id, part.id)
    )
    for number, annotator_id, replicate, swapped, attempt in ledger.stream(query):
        order = None if swapped is None else bool(swapped)
        found.setdefault(number, []).append(PartAnswered(annotator_id, replicate, order, attempt))
    return {number: tuple(each) for number, each in found.items()}
