"""Streams the ledger's judgements as rows of the interchange format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable, and_, func, or_, select
from sqlalchemy.orm import aliased

from db.interchange.rows import PreferenceRow
from db.ledger import Ledger
from db.records import AnnotationStatus, AnnotatorKind
from db.tables import AnnotationRow, AnnotatorRow, ImportedRow, InstructionRow, ItemRow, OutputRow, PairRow

HERE = "farm"  # the source of judgements that were made here and not imported


@dataclass(frozen=True)
class RowFilter:
    """Chooses judgements by imported source, subset and annotators; None and () mean any."""

    source: str | None = None
    subset: str | None = None
    annotators: tuple[str, ...] = ()


def preference_rows(ledger: Ledger, wanted: RowFilter) -> Iterator[PreferenceRow]:
    """Stream judgements in the order in which they were written.

    An imported judgement has the orientation of its source. Only the latest attempt is given, and judgements
    that were taken back are left out.
    """
    for row in ledger.stream(_query(wanted)):
        yield _row(row)


def _query(wanted: RowFilter) -> Executable:
    a, b, later = aliased(OutputRow), aliased(OutputRow), aliased(AnnotationRow)
    superseded = select(later.id).where(
        later.pair_id == AnnotationRow.pair_id,
        later.annotator_id == AnnotationRow.annotator_id,
        func.coalesce(later.item_id, 0) == func.coalesce(AnnotationRow.item_id, 0),
        later.replicate == AnnotationRow.replicate,
        func.coalesce(later.swapped, -1) == func.coalesce(AnnotationRow.swapped, -1),
        later.attempt > AnnotationRow.attempt,
    )
    query = (
        select(
            AnnotationRow.preference,
            AnnotationRow.swapped,
            AnnotationRow.replicate,
            AnnotationRow.reason,
            ImportedRow.preference_raw,
            ImportedRow.scores,
            ImportedRow.raw_completion,
            ImportedRow.price,
            ImportedRow.seconds,
            ImportedRow.meta,
            ItemRow.source,
            ItemRow.subset,
            ItemRow.name.label("item"),
            func.coalesce(ItemRow.flipped, False).label("flipped"),
            ItemRow.instruction_ref,
            PairRow.key.label("pair"),
            InstructionRow.text.label("instruction"),
            InstructionRow.input,
            a.text.label("text_a"),
            a.producer.label("producer_a"),
            b.text.label("text_b"),
            b.producer.label("producer_b"),
            AnnotatorRow.name.label("annotator"),
            AnnotatorRow.kind,
        )
        .join(PairRow, PairRow.id == AnnotationRow.pair_id)
        .join(a, a.id == PairRow.output_a_id)
        .join(b, b.id == PairRow.output_b_id)
        .join(InstructionRow, InstructionRow.id == a.instruction_id)
        .join(AnnotatorRow, AnnotatorRow.id == AnnotationRow.annotator_id)
        .outerjoin(ItemRow, ItemRow.id == AnnotationRow.item_id)
        .outerjoin(ImportedRow, ImportedRow.annotation_id == AnnotationRow.id)
        .where(AnnotationRow.status != AnnotationStatus.RETRACTED.value, ~superseded.exists())
        .order_by(AnnotationRow.id)
    )
    if wanted.source is not None or wanted.subset is not None:
        query = query.where(_of_source(wanted))
    if wanted.annotators:
        query = query.where(AnnotatorRow.name.in_(wanted.annotators))
    return query


def _of_source(wanted: RowFilter) -> Any:
    """The condition for a judgement imported from that source, or made here of a pair that is in it."""
    item = aliased(ItemRow)
    named = [
        (column, value) for column, value in (("source", wanted.source), ("subset", wanted.subset)) if value
    ]
    pairs = select(item.pair_id).where(*(getattr(item, column) == value for column, value in named))
    imported = and_(*(getattr(ItemRow, column) == value for column, value in named))
    return or_(imported, and_(AnnotationRow.item_id.is_(None), AnnotationRow.pair_id.in_(pairs)))


def _row(row: Any) -> PreferenceRow:
    flipped = bool(row.flipped)
    sides = ((row.text_a, row.producer_a), (row.text_b, row.producer_b))
    (output_1, model_1), (output_2, model_2) = reversed(sides) if flipped else sides
    preference = row.preference
    here = row.item is None
    return PreferenceRow(
        source=HERE if here else row.source,
        subset=row.subset,
        item_id=row.pair if here else row.item,
        instruction_id=row.instruction_ref,
        instruction=row.instruction,
        input=row.input,
        output_1=output_1,
        output_2=output_2,
        output_1_model=model_1 or None,
        output_2_model=model_2 or None,
        annotator=row.annotator,
        annotator_kind=AnnotatorKind(row.kind),
        preference=preference if preference is None or not flipped else 1 - preference,
        reason=row.reason,
        preference_raw=_load(row.preference_raw),
        order_swapped=None if row.swapped is None else bool(row.swapped) != flipped,
        raw_completion=row.raw_completion,
        scores=_load(row.scores),
        meta=_load(row.meta) or {},
        replicate=row.replicate,
        price=row.price,
        seconds=row.seconds,
    )


def _load(text: str | None) -> Any:
    return None if text is None else json.loads(text)
