"""What judgements cost: requests, tokens, money and time, by annotator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, case, func, or_, select

from db.ids import content_hash
from db.ledger import Ledger
from db.queries.frames import pairs_of_requests
from db.records import AnnotatorKind
from db.tables import ANNOTATION, ANNOTATOR, CLAIM, COMPLETION, IMPORTED

PROPOSING = content_hash("asked", "alignment")
"""The draw_key of what `farm annotators align` asks its proposer, whose replies no judgement rests on."""


BILL = (
    func.sum(COMPLETION.c.sendings).label("requests"),
    func.sum(COMPLETION.c.prompt_tokens).label("prompt_tokens"),
    func.sum(COMPLETION.c.completion_tokens).label("completion_tokens"),
    func.coalesce(func.sum(COMPLETION.c.cost), 0.0).label("cost"),
    func.sum(case((COMPLETION.c.cost.is_(None), 1), else_=0)).label("unpriced"),
)
"""What replies took in all: the columns of `Spent` after judgements."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What the judgements of one annotator cost."""

    annotator: str
    kind: AnnotatorKind
    judgements: int
    requests: int  # sendings; a request that was sent again counts again
    prompt_tokens: int
    completion_tokens: int
    cost: float  # US dollars, of the replies whose price is known
    unpriced: int  # replies whose price is unknown


def paid_in_all(ledger: Ledger) -> float:
    """What all replies cost that a model's judgements rest on, and those of proposers, in US dollars.

    Each reply counts once.
    """
    row, reply = ANNOTATION.c, COMPLETION.c
    read = (
        select(row.completion_id)
        .join(ANNOTATOR, ANNOTATOR.c.id == row.annotator_id)
        .where(row.completion_id.is_not(None), ANNOTATOR.c.kind != AnnotatorKind.HUMAN.value)
    )
    query = select(func.coalesce(func.sum(reply.cost), 0.0).label("cost")).where(
        or_(reply.claim_id.in_(read), reply.claim_id.in_(_proposals()))
    )
    [found] = ledger.stream(query)
    return float(found.cost)


def prices_of_pairs(ledger: Ledger) -> dict[int, float]:
    """What an annotator's judgements of one pair cost on average, in US dollars, by the annotator's id.

    All its judgements of a pair count: both orders, all replicates. Pairs without a price in the ledger do
    not count; an annotator without any is missing.
    """
    row, share = ANNOTATION.c, pairs_of_requests()
    price = func.coalesce(IMPORTED.c.price, COMPLETION.c.cost / share.c.slots)
    query = (
        select(
            row.annotator_id, func.sum(price).label("cost"), func.count(row.pair_id.distinct()).label("pairs")
        )
        .outerjoin(IMPORTED, IMPORTED.c.annotation_id == row.id)
        .outerjoin(COMPLETION, COMPLETION.c.claim_id == row.completion_id)
        .outerjoin(share, share.c.claim_id == row.completion_id)
        .where(price.is_not(None))
        .group_by(row.annotator_id)
    )
    return {int(each.annotator_id): float(each.cost) / int(each.pairs) for each in ledger.stream(query)}


def spent(ledger: Ledger) -> list[Spent]:
    """The cost of each annotator that is a model and was asked here, dearest first.

    A request that shows several pairs counts once.
    """
    row, reply = ANNOTATION.c, COMPLETION.c
    asked = (
        select(row.annotator_id, row.completion_id, func.count().label("judgements"))
        .where(row.completion_id.is_not(None))
        .group_by(row.annotator_id, row.completion_id)
        .subquery()
    )
    query = (
        select(ANNOTATOR.c.name, ANNOTATOR.c.kind, func.sum(asked.c.judgements).label("judgements"), *BILL)
        .select_from(asked)
        .join(ANNOTATOR, ANNOTATOR.c.id == asked.c.annotator_id)
        .join(COMPLETION, reply.claim_id == asked.c.completion_id)
        .where(ANNOTATOR.c.kind != AnnotatorKind.HUMAN.value)
        .group_by(ANNOTATOR.c.id, ANNOTATOR.c.name, ANNOTATOR.c.kind)
    )
    found = [
        _spent(row, row.name, AnnotatorKind(row.kind), int(row.judgements)) for row in ledger.stream(query)
    ]
    return sorted(found, key=lambda each: (-each.cost, each.annotator))


def spent_on_proposals(ledger: Ledger) -> Spent | None:
    """The cost of all that proposers were asked; None where none was."""
    query = select(*BILL).where(COMPLETION.c.claim_id.in_(_proposals()))
    [row] = ledger.stream(query)
    return _spent(row, "proposer", AnnotatorKind.LLM, 0) if row.requests else None


def _proposals() -> Select[tuple[int]]:
    return select(CLAIM.c.id).where(CLAIM.c.draw_key == PROPOSING)


def _spent(row: Any, name: str, kind: AnnotatorKind, judgements: int) -> Spent:
    """What a row with the columns BILL tells."""
    return Spent(
        annotator=name,
        kind=kind,
        judgements=judgements,
        requests=int(row.requests),
        prompt_tokens=int(row.prompt_tokens),
        completion_tokens=int(row.completion_tokens),
        cost=float(row.cost),
        unpriced=int(row.unpriced),
    )
