"""What panels and cascades are made of: pairs with their producers, and the judgements of some annotators."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import pandas as pd
from sqlalchemy import func, select

from db.ledger import Ledger, PairFilter, filtered
from db.queries.frames import pairs_of_requests
from db.records import AnnotationStatus
from db.tables import ANNOTATION, COMPLETION, MADE_OF, OUTPUT, PAIR

LOOKUP = 5_000


class PairSides(NamedTuple):
    """A pair without its texts: its id and key, and who wrote its outputs."""

    id: int
    key: str
    producer_a: str
    producer_b: str


class MemberJudgement(NamedTuple):
    """The latest attempt of an annotator at a question. swapped: -1 where the order is unknown."""

    id: int
    pair_id: int
    annotator_id: int
    replicate: int
    swapped: int
    attempt: int
    status: str
    preference: float | None


def sides(ledger: Ledger, wanted: PairFilter) -> list[PairSides]:
    """The pairs that are wanted, by id."""
    a, b = OUTPUT.alias(), OUTPUT.alias()
    query = (
        select(PAIR.c.id, PAIR.c.key, a.c.producer, b.c.producer)
        .join(a, a.c.id == PAIR.c.output_a_id)
        .join(b, b.c.id == PAIR.c.output_b_id)
        .order_by(PAIR.c.id)
    )
    return [PairSides(*each) for each in ledger.stream(filtered(query, wanted))]


def told_by(
    ledger: Ledger, annotator_ids: Collection[int], pair_ids: Sequence[int], replicates: int
) -> list[MemberJudgement]:
    """The latest attempts of these annotators at these pairs, in so many replicates. Imports do not count."""
    row = ANNOTATION.c
    columns = (
        row.id, row.pair_id, row.annotator_id, row.replicate, func.coalesce(row.swapped, -1), row.attempt,
        row.status, row.preference,
    )  # fmt: skip
    latest: dict[tuple[int, int, int, int], MemberJudgement] = {}
    for at in range(0, len(pair_ids), LOOKUP):
        query = select(*columns).where(
            row.pair_id.in_(pair_ids[at : at + LOOKUP]),
            row.annotator_id.in_(annotator_ids),
            row.item_id.is_(None),
            row.replicate < replicates,
        )
        for each in ledger.stream(query):
            told = MemberJudgement._make(each)
            asked = (told.pair_id, told.annotator_id, told.replicate, told.swapped)
            before = latest.get(asked)
            if before is None or before.attempt < told.attempt:
                latest[asked] = told
    return list(latest.values())


class MadeFrames(NamedTuple):
    """What panels and cascades judged, as pandas frames.

    judgements: the latest attempts: id, pair_id, instruction_id, annotator, replicate, status. parts: what
    they are made of: whole (an id of `judgements`), annotator (of the part), asked (whether somebody was),
    price (US dollars, NaN where unknown).
    """

    judgements: pd.DataFrame
    parts: pd.DataFrame


def made_frames(ledger: Ledger, annotator_ids: Collection[int]) -> MadeFrames:
    """The judgements of these panels and cascades, and what they are made of."""
    row, of_part, reply = ANNOTATION.c, ANNOTATION.alias(), COMPLETION
    part = of_part.c
    query = (
        select(row.id, row.pair_id, OUTPUT.c.instruction_id, row.annotator_id, row.replicate, row.status)
        .join(PAIR, PAIR.c.id == row.pair_id)
        .join(OUTPUT, OUTPUT.c.id == PAIR.c.output_a_id)
        .where(row.annotator_id.in_(annotator_ids))
        .order_by(row.attempt, row.id)
    )
    names = ["id", "pair_id", "instruction_id", "annotator", "replicate", "status"]
    judgements = pd.DataFrame([tuple(each) for each in ledger.stream(query)], columns=names)
    judgements = judgements.drop_duplicates(["pair_id", "annotator", "replicate"], keep="last")
    share = pairs_of_requests()
    of_parts = (
        select(row.id, part.annotator_id, part.completion_id.is_not(None), reply.c.cost / share.c.slots)
        .select_from(ANNOTATION)
        .join(MADE_OF, MADE_OF.c.annotation_id == row.id)
        .join(of_part, part.id == MADE_OF.c.part_id)
        .outerjoin(reply, reply.c.claim_id == part.completion_id)
        .outerjoin(share, share.c.claim_id == part.completion_id)
        .where(row.annotator_id.in_(annotator_ids))
    )
    rows = [tuple(each) for each in ledger.stream(of_parts)]
    parts = pd.DataFrame(rows, columns=["whole", "annotator", "asked", "price"])
    return MadeFrames(judgements, parts.astype({"asked": bool, "price": float}))


def contested_pairs(ledger: Ledger, annotator_ids: Collection[int]) -> set[int]:
    """The pairs that one of these annotators left open at its latest attempt, in any replicate."""
    row = ANNOTATION.c
    query = (
        select(row.pair_id, row.annotator_id, row.replicate, row.status)
        .where(row.annotator_id.in_(annotator_ids))
        .order_by(row.attempt)
    )
    latest = {tuple(each[:3]): (each.pair_id, each.status) for each in ledger.stream(query)}
    return {pair for pair, status in latest.values() if status == AnnotationStatus.CONTESTED.value}
