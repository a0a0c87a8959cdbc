"""Where a fact came from, for `farm trace`: rows by id or key, with all that they point to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select

from db.instruction_rows import ANSWERED, output_of
from db.ledger import Ledger
from db.records import AnnotationStatus, Output
from db.tables import (
    ANNOTATION,
    ANNOTATOR,
    CHECKPOINT,
    COMPLETION,
    FILE,
    IMPORTED,
    INSTRUCTION,
    ITEM,
    MADE_OF,
    OUTPUT,
    OUTPUT_THINKING,
    PAIR,
    SNAPSHOT,
    SNAPSHOT_ROW,
)

KEYED = (PAIR, OUTPUT, ANNOTATOR, SNAPSHOT, INSTRUCTION)


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint of a run."""

    id: int
    run_id: int
    step: int
    path: str


@dataclass(frozen=True, slots=True)
class KeyMatch:
    """A row whose key begins with a given text."""

    kind: str  # the table's name
    id: int


@dataclass(frozen=True, slots=True)
class Origin:
    """The file that an imported judgement stood in. raw: the judge's own text in its row."""

    format: str
    name: str
    sha256: str
    raw: str | None


@dataclass(frozen=True, slots=True)
class TracedJudgement:
    """One attempt at a judgement, with what it rests on. claim_id: of the request that it was read from."""

    id: int
    pair_id: int
    annotator_id: int
    preference: float | None
    label: float | None
    swapped: bool | None
    status: AnnotationStatus
    reason: str | None
    replicate: int
    attempt: int
    claim_id: int | None
    slot: int | None
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class ItemName:
    """The name of an item that a pair is: source, subset, and name in the source."""

    source: str
    subset: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some judgements are of one annotator and have one status."""

    annotator_id: int
    status: AnnotationStatus
    judgements: int


@dataclass(frozen=True)
class Of:
    """Chooses judgements. None means any.

    producer: of pairs with an output of this producer. source: of pairs that stand in this source.
    """

    id: int | None = None
    pair_id: int | None = None
    annotator_id: int | None = None
    snapshot_id: int | None = None
    producer: str | None = None
    source: str | None = None


def checkpoints(ledger: Ledger) -> list[Saved]:
    """Every checkpoint, in the order in which they came."""
    row = CHECKPOINT.c
    query = select(row.id, row.run_id, row.step, row.path).order_by(row.id)
    return [Saved(*each) for each in ledger.stream(query)]


def by_key(ledger: Ledger, prefix: str) -> list[KeyMatch]:
    """The rows whose key begins with `prefix`: pairs, outputs, annotators, snapshots, instructions."""
    found = []
    for table in KEYED:
        query = select(table.c.id).where(table.c.key.startswith(prefix, autoescape=True)).order_by(table.c.id)
        found += [KeyMatch(table.name, row.id) for row in ledger.stream(query)]
    return found


def outputs_by_id(ledger: Ledger, ids: Sequence[int]) -> dict[int, Output]:
    """Outputs with their instructions, by id."""
    row = OUTPUT.c
    query = (
        select(row.id, *ANSWERED)
        .join(INSTRUCTION, INSTRUCTION.c.id == row.instruction_id)
        .where(row.id.in_(ids))
    )
    return {each.id: output_of(each) for each in ledger.stream(query)}


def thinking_of(ledger: Ledger, output_id: int) -> str:
    """What a model thought before it wrote an output; empty where nothing is known."""
    row = OUTPUT_THINKING.c
    query = select(row.text).where(row.output_id == output_id)
    return next((str(each.text) for each in ledger.stream(query)), "")


def output_ids(ledger: Ledger, pair_id: int) -> tuple[int, int] | None:
    """The ids of a pair's two outputs; None where there is no such pair."""
    query = select(PAIR.c.output_a_id, PAIR.c.output_b_id).where(PAIR.c.id == pair_id)
    for row in ledger.stream(query):
        return row.output_a_id, row.output_b_id
    return None


def places_of(ledger: Ledger, pair_id: int) -> list[ItemName]:
    """The names of the items that a pair is."""
    query = select(ITEM.c.source, ITEM.c.subset, ITEM.c.name).where(ITEM.c.pair_id == pair_id)
    return [ItemName(*each) for each in ledger.stream(query.order_by(ITEM.c.id))]


def shares(ledger: Ledger, of: Of) -> list[Share]:
    """Count judgements by annotator and status. Earlier attempts, and what was taken back, count too."""
    row = ANNOTATION.c
    query = select(row.annotator_id, row.status, func.count()).where(*_conditions(of))
    query = query.group_by(row.annotator_id, row.status).order_by(row.annotator_id, row.status)
    return [Share(who, AnnotationStatus(status), count) for who, status, count in ledger.stream(query)]


def judgements_of(ledger: Ledger, of: Of, limit: int) -> list[TracedJudgement]:
    """The first `limit` judgements, in the order in which they were written."""
    row, extra = ANNOTATION.c, IMPORTED.c
    query = (
        select(
            row.id, row.pair_id, row.annotator_id, row.preference, row.label, row.swapped, row.status,
            row.reason, row.replicate, row.attempt, COMPLETION.c.claim_id, row.slot,
            FILE.c.format, FILE.c.name, FILE.c.sha256, extra.raw_completion,
        )
        .outerjoin(COMPLETION, COMPLETION.c.claim_id == row.completion_id)
        .outerjoin(IMPORTED, extra.annotation_id == row.id)
        .outerjoin(FILE, FILE.c.id == extra.file_id)
        .where(*_conditions(of))
        .order_by(row.id)
        .limit(limit)
    )  # fmt: skip
    return [_judgement(each) for each in ledger.stream(query)]


def parts_of(ledger: Ledger, annotation_id: int) -> list[TracedJudgement]:
    """The judgements that a judgement was made of."""
    query = select(MADE_OF.c.part_id).where(MADE_OF.c.annotation_id == annotation_id)
    ids = [row.part_id for row in ledger.stream(query.order_by(MADE_OF.c.part_id))]
    return [part for number in ids for part in judgements_of(ledger, Of(id=number), 1)]


def _judgement(row: Any) -> TracedJudgement:
    known = row.sha256 is not None
    return TracedJudgement(
        id=row.id,
        pair_id=row.pair_id,
        annotator_id=row.annotator_id,
        preference=row.preference,
        label=row.label,
        swapped=None if row.swapped is None else bool(row.swapped),
        status=AnnotationStatus(row.status),
        reason=row.reason,
        replicate=row.replicate,
        attempt=row.attempt,
        claim_id=row.claim_id,
        slot=row.slot,
        origin=Origin(row.format, row.name, row.sha256, row.raw_completion) if known else None,
    )


def _conditions(of: Of) -> list[ColumnElement[bool]]:
    row = ANNOTATION.c
    found: list[ColumnElement[bool]] = [
        column == value
        for column, value in (
            (row.id, of.id),
            (row.pair_id, of.pair_id),
            (row.annotator_id, of.annotator_id),
        )
        if value is not None
    ]
    if of.snapshot_id is not None:
        members = select(SNAPSHOT_ROW.c.annotation_id)
        found.append(row.id.in_(members.where(SNAPSHOT_ROW.c.snapshot_id == of.snapshot_id)))
    if of.source is not None:
        found.append(row.pair_id.in_(select(ITEM.c.pair_id).where(ITEM.c.source == of.source)))
    if of.producer is not None:
        a, b = OUTPUT.alias(), OUTPUT.alias()
        pairs = select(PAIR.c.id).join(a, a.c.id == PAIR.c.output_a_id).join(b, b.c.id == PAIR.c.output_b_id)
        found.append(
            row.pair_id.in_(pairs.where(or_(a.c.producer == of.producer, b.c.producer == of.producer)))
        )
    return found
