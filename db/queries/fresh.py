"""What was said of the pairs of one source, and what that cost: for pairs that are judged as they come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from sqlalchemy import func, select

from db.ledger import Ledger
from db.records import AnnotationStatus
from db.tables import ANNOTATION, CLAIM, CLAIM_SLOT, COMPLETION, ITEM

LOOKUP = 5_000
SAID = (AnnotationStatus.OK.value, AnnotationStatus.UNREADABLE.value)


@dataclass(frozen=True, slots=True)
class Bought:
    """Judgements that somebody gave, the sendings that this took, and US dollars at most."""

    judgements: int
    requests: int
    cost: float

    def __add__(self, other: Bought) -> Bought:
        return Bought(
            self.judgements + other.judgements, self.requests + other.requests, self.cost + other.cost
        )


def labels(ledger: Ledger, annotator_id: int, pair_ids: Sequence[int]) -> dict[int, float]:
    """P(output_a preferred) after label noise, by pair; a pair without a judgement is not in it.

    It is the mean over replicates. Of a replicate that was judged in both orders both count, or neither.
    """
    row = ANNOTATION.c
    latest: dict[tuple[int, int], dict[bool, float | None]] = defaultdict(dict)
    for at in range(0, len(pair_ids), LOOKUP):
        query = (
            select(row.pair_id, row.replicate, row.swapped, row.label)
            .where(row.annotator_id == annotator_id, row.item_id.is_(None))
            .where(row.pair_id.in_(pair_ids[at : at + LOOKUP]))
            .order_by(row.attempt)
        )
        for pair, replicate, swapped, label in ledger.stream(query):
            latest[pair, replicate][bool(swapped)] = label
    found = defaultdict[int, list[float]](list)
    for pair, replicate in sorted(latest):
        said = [label for _, label in sorted(latest[pair, replicate].items()) if label is not None]
        if len(said) == len(latest[pair, replicate]):
            found[pair].append(fmean(said))
    return {pair: fmean(each) for pair, each in found.items()}


def bought(ledger: Ledger, source: str, annotator_id: int, draw_keys: Sequence[str]) -> Bought:
    """What an annotator said of the pairs of a source, and what it took.

    draw_keys: of the specs that are asked. A request that is still under way has no cost yet.
    """
    pairs = select(ITEM.c.pair_id).where(ITEM.c.source == source)
    row, reply = ANNOTATION.c, COMPLETION.c
    said = select(func.count()).where(
        row.annotator_id == annotator_id, row.status.in_(SAID), row.pair_id.in_(pairs)
    )
    claims = (
        select(CLAIM_SLOT.c.claim_id)
        .join(CLAIM, CLAIM.c.id == CLAIM_SLOT.c.claim_id)
        .where(CLAIM_SLOT.c.pair_id.in_(pairs), CLAIM.c.draw_key.in_(draw_keys))
    )
    paid = select(
        func.coalesce(func.sum(reply.sendings), 0),
        func.coalesce(func.sum(func.coalesce(reply.cost_bound, reply.cost, 0.0)), 0.0),
    ).where(reply.claim_id.in_(claims))
    [(judgements,)] = ledger.stream(said)
    [(requests, cost)] = ledger.stream(paid)
    return Bought(int(judgements), int(requests), float(cost))


def last_item(ledger: Ledger, source: str) -> str | None:
    """The name of the item of a source that was written last; None where it has none."""
    query = select(ITEM.c.name).where(ITEM.c.source == source).order_by(ITEM.c.id.desc()).limit(1)
    return next((name for (name,) in ledger.stream(query)), None)
