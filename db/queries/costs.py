"""What judgements cost: requests, tokens, money and time, by annotator."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, func, select

from db.ledger import Ledger
from db.queries.frames import pairs_of_requests
from db.records import AnnotatorKind
from db.tables import ANNOTATION, ANNOTATOR, COMPLETION, IMPORTED


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
    """What all replies cost that a model's judgements rest on, in US dollars; each reply counts once."""
    row, reply = ANNOTATION.c, COMPLETION.c
    read = (
        select(row.completion_id)
        .join(ANNOTATOR, ANNOTATOR.c.id == row.annotator_id)
        .where(row.completion_id.is_not(None), ANNOTATOR.c.kind != AnnotatorKind.HUMAN.value)
    )
    query = select(func.coalesce(func.sum(reply.cost), 0.0).label("cost")).where(reply.claim_id.in_(read))
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
    unpriced = func.sum(case((reply.cost.is_(None), 1), else_=0))
    query = (
        select(
            ANNOTATOR.c.name,
            ANNOTATOR.c.kind,
            func.sum(asked.c.judgements).label("judgements"),
            func.sum(reply.sendings).label("requests"),
            func.sum(reply.prompt_tokens).label("prompt_tokens"),
            func.sum(reply.completion_tokens).label("completion_tokens"),
            func.coalesce(func.sum(reply.cost), 0.0).label("cost"),
            unpriced.label("unpriced"),
        )
        .select_from(asked)
        .join(ANNOTATOR, ANNOTATOR.c.id == asked.c.annotator_id)
        .join(COMPLETION, reply.claim_id == asked.c.completion_id)
        .where(ANNOTATOR.c.kind != AnnotatorKind.HUMAN.value)
        .group_by(ANNOTATOR.c.id, ANNOTATOR.c.name, ANNOTATOR.c.kind)
    )
    found = [
        Spent(
            annotator=row.name,
            kind=AnnotatorKind(row.kind),
            judgements=int(row.judgements),
            requests=int(row.requests),
            prompt_tokens=int(row.prompt_tokens),
            completion_tokens=int(row.completion_tokens),
            cost=float(row.cost),
            unpriced=int(row.unpriced),
        )
        for row in ledger.stream(query)
    ]
    return sorted(found, key=lambda each: (-each.cost, each.annotator))
