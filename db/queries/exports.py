"""Streams the ledger's judgements as rows of the interchange format."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import FromClause, Subquery, func, select

from db.instruction_rows import ASKED, sides
from db.interchange.facts import turned_order
from db.interchange.made_here import HERE, MADE
from db.interchange.rows import MadeHere, MadeOf, OutputOrigin, PreferenceRow
from db.ledger import Ledger
from db.queries.aspects import aspects_between
from db.queries.columns import Query, chunks
from db.queries.frames import pairs_of_requests
from db.queries.parts import PartAnswered, parts_between
from db.records import (
    AnnotationStatus,
    AnnotatorKind,
    AspectVerdict,
    Degree,
    ProducerKind,
    turns_from_json,
)
from db.tables import ANNOTATION, ANNOTATOR, COMPLETION, IMPORTED, INSTRUCTION, ITEM, OUTPUT, PAIR, STRENGTH

ANNOTATOR_KINDS = {each.value: each for each in AnnotatorKind}  # an enumeration's own look-up is slow
STATUSES = {each.value: each for each in AnnotationStatus}


@dataclass(frozen=True)
class RowFilter:
    """Chooses judgements by imported source, subset and annotators; None and () mean any.

    labels: give the label after label noise, which training sees, in place of the preference.
    """

    source: str | None = None
    subset: str | None = None
    annotators: tuple[str, ...] = ()
    labels: bool = False


@dataclass(frozen=True)
class PreferenceRows:
    """Streams judgements in the order in which they were written, each time that it is iterated.

    A judgement has the orientation of its item; one made here that of the first item of its pair. Only the
    latest attempt is given, and judgements that were taken back are left out. The first judgement that an
    annotator made here comes with the annotator's spec.
    """

    ledger: Ledger
    wanted: RowFilter

    def __iter__(self) -> Iterator[PreferenceRow]:
        cards = self.ledger.annotators()
        makers = {card.id: str(card.spec.get(MADE, card.key)) for card in cards}
        specs = {card.id: card.spec for card in cards if card.key == makers[card.id]}
        query, labels = _query(self.wanted), self.wanted.labels
        told = _record(query)
        with self.ledger.reading() as connection:
            for batch in chunks(connection, query):
                rows = list(map(told, batch))
                if labels:
                    yield from (_row(row, None, aspects=(), labels=True) for row in rows)
                    continue
                ends = rows[0].id, rows[-1].id
                aspects, parts = aspects_between(self.ledger, *ends), parts_between(self.ledger, *ends)
                for row in rows:
                    made = _made(row, makers[row.annotator_id]) if row.here else None
                    if made and row.annotator_id in specs:
                        made = made._replace(spec=specs.pop(row.annotator_id))
                    if made and row.id in parts:
                        made = made._replace(parts=_parts(row, parts[row.id], makers))
                    yield _row(row, made, aspects=_oriented(row, aspects), labels=False)


def _record(query: Query) -> Callable[..., Any]:
    """Makes a record of the columns of a row of the query, under their names."""
    told: Any = namedtuple("Told", query.selected_columns.keys())  # type: ignore[misc]
    make: Callable[..., Any] = told._make
    return make


def _oriented(row: Any, aspects: Mapping[int, tuple[AspectVerdict, ...]]) -> tuple[AspectVerdict, ...]:
    """The aspects of a judgement, as its row shows the outputs."""
    return tuple(each.turned if row.flipped else each for each in aspects.get(row.id, ()))


def _parts(row: Any, parts: Sequence[PartAnswered], makers: Mapping[int, str]) -> tuple[MadeOf, ...]:
    """What a judgement was made of, as its row shows the outputs."""
    return tuple(
        MadeOf(
            makers[each.annotator_id], each.replicate, turned_order(each.swapped, row.flipped), each.attempt
        )
        for each in parts
    )


def preference_rows(ledger: Ledger, wanted: RowFilter) -> PreferenceRows:
    """The judgements that are wanted."""
    return PreferenceRows(ledger, wanted)


def _query(wanted: RowFilter) -> Query:
    a, b = OUTPUT.alias(), OUTPUT.alias()
    first, reply, share, before = _first_items(wanted), COMPLETION.c, pairs_of_requests(), _superseded()
    query: Query = (
        select(
            *_judged(),
            *_asked(a, b),
            func.coalesce(IMPORTED.c.price, reply.cost / share.c.slots).label("price"),
            func.coalesce(IMPORTED.c.seconds, reply.seconds / share.c.slots).label("seconds"),
        )
        .join(PAIR, PAIR.c.id == ANNOTATION.c.pair_id)
        .join(a, a.c.id == PAIR.c.output_a_id)
        .join(b, b.c.id == PAIR.c.output_b_id)
        .join(INSTRUCTION, INSTRUCTION.c.id == a.c.instruction_id)
        .join(ANNOTATOR, ANNOTATOR.c.id == ANNOTATION.c.annotator_id)
        .outerjoin(first, first.c.pair_id == ANNOTATION.c.pair_id)
        .outerjoin(ITEM, ITEM.c.id == func.coalesce(ANNOTATION.c.item_id, first.c.item))
        .outerjoin(COMPLETION, reply.claim_id == ANNOTATION.c.completion_id)
        .outerjoin(share, share.c.claim_id == ANNOTATION.c.completion_id)
        .outerjoin(IMPORTED, IMPORTED.c.annotation_id == ANNOTATION.c.id)
        .outerjoin(STRENGTH, STRENGTH.c.annotation_id == ANNOTATION.c.id)
        .outerjoin(before, before.c.id == ANNOTATION.c.id)
        .where(ANNOTATION.c.status != AnnotationStatus.RETRACTED.value, before.c.id.is_(None))
        .order_by(ANNOTATION.c.id)
    )
    for column, value in _named(wanted):
        query = query.where(ITEM.c[column] == value)
    if wanted.annotators:
        query = query.where(ANNOTATOR.c.name.in_(wanted.annotators))
    return query


def _superseded() -> Subquery:
    """The judgements that have a later attempt. Few have one, so they are found from the later attempts."""
    earlier, later = ANNOTATION.alias().c, ANNOTATION.alias().c
    query = select(earlier.id).where(
        later.attempt > 0,
        earlier.pair_id == later.pair_id,
        earlier.annotator_id == later.annotator_id,
        func.coalesce(earlier.item_id, 0) == func.coalesce(later.item_id, 0),
        earlier.replicate == later.replicate,
        func.coalesce(earlier.swapped, -1) == func.coalesce(later.swapped, -1),
        earlier.attempt < later.attempt,
    )
    return query.distinct().subquery()


def _judged() -> tuple[Any, ...]:
    """The columns that say who judged, and what."""
    return (
        ANNOTATION.c.id,
        ANNOTATION.c.preference,
        ANNOTATION.c.swapped,
        ANNOTATION.c.replicate,
        ANNOTATION.c.reason,
        ANNOTATION.c.label,
        ANNOTATION.c.status,
        ANNOTATION.c.attempt,
        ANNOTATION.c.item_id.is_(None).label("here"),
        STRENGTH.c.steps,
        STRENGTH.c.levels,
        IMPORTED.c.preference_raw,
        IMPORTED.c.scores,
        IMPORTED.c.raw_completion,
        IMPORTED.c.meta,
        ANNOTATOR.c.name.label("annotator"),
        ANNOTATOR.c.kind,
        ANNOTATION.c.annotator_id,
    )


def _asked(a: FromClause, b: FromClause) -> tuple[Any, ...]:
    """The columns that say what was judged. a, b: the outputs of the pair."""
    return (
        ITEM.c.source,
        ITEM.c.subset,
        ITEM.c.name.label("item"),
        func.coalesce(ITEM.c.flipped, False).label("flipped"),
        ITEM.c.instruction_ref,
        PAIR.c.key.label("pair"),
        *ASKED,
        *sides(a, b),
    )


def _named(wanted: RowFilter) -> list[tuple[str, str]]:
    """The columns of an item that are asked for, with their values."""
    both = (("source", wanted.source), ("subset", wanted.subset))
    return [(column, value) for column, value in both if value is not None]


def _first_items(wanted: RowFilter) -> Subquery:
    """The first item of each pair among those that are asked for: pair_id, item."""
    query = select(ITEM.c.pair_id, func.min(ITEM.c.id).label("item")).group_by(ITEM.c.pair_id)
    for column, value in _named(wanted):
        query = query.where(ITEM.c[column] == value)
    return query.subquery()


def _row(
    row: Any, made: MadeHere | None, *, aspects: tuple[AspectVerdict, ...], labels: bool
) -> PreferenceRow:
    flipped = bool(row.flipped)
    both = ((row.text_a, row.producer_a, row.turns_a), (row.text_b, row.producer_b, row.turns_b))
    (output_1, model_1, turns_1), (output_2, model_2, turns_2) = reversed(both) if flipped else both
    loose = row.item is None
    preference = _turned(row.label if labels else row.preference, flipped)
    return PreferenceRow(
        source=HERE if loose else row.source,
        subset=row.subset,
        item_id=row.pair if loose else row.item,
        instruction_id=row.instruction_ref,
        instruction=row.asked_text,
        input=row.asked_input,
        turns=turns_from_json(row.asked_turns),
        output_1=output_1,
        output_2=output_2,
        output_1_model=model_1 or None,
        output_2_model=model_2 or None,
        annotator=row.annotator,
        annotator_kind=ANNOTATOR_KINDS[row.kind],
        preference=preference,
        reason=row.reason if preference is None else None,
        preference_raw=_load(row.preference_raw),
        order_swapped=turned_order(row.swapped, flipped),
        raw_completion=row.raw_completion,
        scores=_load(row.scores),
        meta=_load(row.meta) or {},
        degree=None if labels or row.steps is None else Degree(row.steps, row.levels),
        aspects=aspects,
        replicate=row.replicate,
        price=row.price,
        seconds=row.seconds,
        made=made,
        turns_1=turns_from_json(turns_1),
        turns_2=turns_from_json(turns_2),
    )


def _made(row: Any, maker: str) -> MadeHere:
    """What is known of a judgement that the farm made. maker: the key of the annotator that made it."""
    flipped = bool(row.flipped)
    a = _origin(row.kind_a, row.decoding_a, row.sample_a)
    b = _origin(row.kind_b, row.decoding_b, row.sample_b)
    return MadeHere(
        annotator=maker,
        status=STATUSES[row.status],
        label=_turned(row.label, flipped),
        attempt=row.attempt,
        drawn=(b, a) if flipped else (a, b),
    )


@lru_cache(maxsize=4_096)
def _origin(kind: str, decoding: str, sample: int) -> OutputOrigin:
    return OutputOrigin(ProducerKind(kind), decoding, sample)


def _turned(preference: float | None, flipped: bool) -> float | None:
    """P(output_1 preferred) of P(output_a preferred)."""
    return preference if preference is None or not flipped else 1 - preference


def _load(text: str | None) -> Any:
    return None if text is None else json.loads(text)
