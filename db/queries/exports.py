"""Streams the ledger's judgements as rows of the interchange format."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Subquery, func, select

from db.interchange.facts import turned_order
from db.interchange.made_here import MADE
from db.interchange.rows import MadeHere, MadeOf, PreferenceRow
from db.ledger import Ledger
from db.queries.aspects import aspects_between
from db.queries.columns import Query, chunks
from db.queries.frames import pairs_of_requests
from db.queries.parts import PartAnswered, parts_between
from db.queries.questions import SHOWN, ShownQuestion, judged_pairs, question_of
from db.records import AnnotationStatus, AnnotatorCard, AspectVerdict, Degree
from db.tables import ANNOTATION, COMPLETION, IMPORTED, ITEM, STRENGTH

STATUSES = {each.value: each for each in AnnotationStatus}  # an enumeration's own look-up is slow


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
        judges = {card.id: card for card in self.ledger.annotators()}
        makers = {card.id: str(card.spec.get(MADE, card.key)) for card in judges.values()}
        specs = {card.id: card.spec for card in judges.values() if card.key == makers[card.id]}
        query, labels = _query(self.wanted, judges.values()), self.wanted.labels
        told = _record(query)
        with self.ledger.reading() as connection:
            for batch in chunks(connection, query):
                rows = list(map(told, batch))
                pairs = judged_pairs(connection, {row.pair_id for row in rows})
                ends = rows[0].id, rows[-1].id
                questions = dict[tuple[int, int | None], ShownQuestion]()
                aspects = {} if labels else aspects_between(self.ledger, *ends)
                parts = {} if labels else parts_between(self.ledger, *ends)
                for row in rows:
                    place = row.pair_id, row.item_id
                    if (asked := questions.get(place)) is None:
                        asked = questions[place] = question_of(row, pairs[row.pair_id])
                    made = _made(row, asked, makers) if row.here and not labels else None
                    if made and row.annotator_id in specs:
                        made = made._replace(spec=specs.pop(row.annotator_id))
                    if made and row.id in parts:
                        made = made._replace(parts=_parts(parts[row.id], asked, makers))
                    said = aspects.get(row.id, ())
                    yield _row(row, asked, judges[row.annotator_id], made=made, aspects=said, labels=labels)


def _record(query: Query) -> Callable[..., Any]:
    """Makes a record of the columns of a row of the query, under their names."""
    told: Any = namedtuple("Told", query.selected_columns.keys())  # type: ignore[misc]
    make: Callable[..., Any] = told._make
    return make


def _parts(
    parts: Sequence[PartAnswered], asked: ShownQuestion, makers: Mapping[int, str]
) -> tuple[MadeOf, ...]:
    """What a judgement was made of, as its row shows the outputs."""
    return tuple(
        MadeOf(
            makers[each.annotator_id], each.replicate, turned_order(each.swapped, asked.flipped), each.attempt
        )
        for each in parts
    )


def preference_rows(ledger: Ledger, wanted: RowFilter) -> PreferenceRows:
    """The judgements that are wanted."""
    return PreferenceRows(ledger, wanted)


def _query(wanted: RowFilter, cards: Iterable[AnnotatorCard]) -> Query:
    """The judgements that are wanted, without the texts of their pairs. cards: all annotators."""
    row, first, reply, share = ANNOTATION.c, _first_items(wanted), COMPLETION.c, pairs_of_requests()
    before = _superseded()
    query: Query = (
        select(
            *_judged(),
            func.coalesce(IMPORTED.c.price, reply.cost / share.c.slots).label("price"),
            func.coalesce(IMPORTED.c.seconds, reply.seconds / share.c.slots).label("seconds"),
        )
        .select_from(ANNOTATION)
        .outerjoin(first, first.c.pair_id == row.pair_id)
        .outerjoin(ITEM, ITEM.c.id == func.coalesce(row.item_id, first.c.item))
        .outerjoin(COMPLETION, reply.claim_id == row.completion_id)
        .outerjoin(share, share.c.claim_id == row.completion_id)
        .outerjoin(IMPORTED, IMPORTED.c.annotation_id == row.id)
        .outerjoin(STRENGTH, STRENGTH.c.annotation_id == row.id)
        .outerjoin(before, before.c.id == row.id)
        .where(row.status != AnnotationStatus.RETRACTED.value, before.c.id.is_(None))
        .order_by(row.id)
    )
    for column, value in _named(wanted):
        query = query.where(ITEM.c[column] == value)
    if wanted.annotators:
        query = query.where(row.annotator_id.in_(card.id for card in cards if card.name in wanted.annotators))
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
    """The columns that say who judged, what was said, and which item of the pair is shown."""
    return (
        ANNOTATION.c.id,
        ANNOTATION.c.pair_id,
        ANNOTATION.c.annotator_id,
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
        *SHOWN,
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
    row: Any,
    asked: ShownQuestion,
    judge: AnnotatorCard,
    *,
    made: MadeHere | None,
    aspects: tuple[AspectVerdict, ...],
    labels: bool,
) -> PreferenceRow:
    flipped = asked.flipped
    preference = _turned(row.label if labels else row.preference, flipped)
    return PreferenceRow(
        **asked.fields,
        annotator=judge.name,
        annotator_kind=judge.kind,
        preference=preference,
        reason=row.reason if preference is None else None,
        preference_raw=_load(row.preference_raw),
        order_swapped=turned_order(row.swapped, flipped),
        raw_completion=row.raw_completion,
        scores=_load(row.scores),
        meta=_load(row.meta) or {},
        degree=None if labels or row.steps is None else Degree(row.steps, row.levels),
        aspects=tuple([each.turned for each in aspects]) if flipped else aspects,
        replicate=row.replicate,
        price=row.price,
        seconds=row.seconds,
        made=made,
    )


def _made(row: Any, asked: ShownQuestion, makers: Mapping[int, str]) -> MadeHere:
    """What is known of a judgement that the farm made. makers: keys of the annotators that made them."""
    return MadeHere(
        annotator=makers[row.annotator_id],
        status=STATUSES[row.status],
        label=_turned(row.label, asked.flipped),
        attempt=row.attempt,
        drawn=asked.drawn,
    )


def _turned(preference: float | None, flipped: bool) -> float | None:
    """P(output_1 preferred) of P(output_a preferred)."""
    return preference if preference is None or not flipped else 1 - preference


def _load(text: str | None) -> Any:
    return None if text is None else json.loads(text)
