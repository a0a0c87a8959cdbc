"""Where a fact came from, for `farm trace`: rows by id or key, with all that they point to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import aliased

from db.instruction_rows import ANSWERED, output_of
from db.ledger import Ledger
from db.records import AnnotationStatus, Output
from db.tables import (
    AnnotationRow,
    AnnotatorRow,
    CheckpointRow,
    CompletionRow,
    FileRow,
    ImportedRow,
    InstructionRow,
    ItemRow,
    OutputRow,
    OutputThinkingRow,
    PairRow,
    SnapshotMemberRow,
    SnapshotRow,
)

KEYED = (PairRow, OutputRow, AnnotatorRow, SnapshotRow, InstructionRow)


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
    """Chooses judgements. producer: of pairs with an output of this producer. None means any."""

    id: int | None = None
    pair_id: int | None = None
    annotator_id: int | None = None
    snapshot_id: int | None = None
    producer: str | None = None


def checkpoints(ledger: Ledger) -> list[Saved]:
    """Every checkpoint, in the order in which they came."""
    row = CheckpointRow
    query = select(row.id, row.run_id, row.step, row.path).order_by(row.id)
    return [Saved(*each) for each in ledger.stream(query)]


def by_key(ledger: Ledger, prefix: str) -> list[KeyMatch]:
    """The rows whose key begins with `prefix`: pairs, outputs, annotators, snapshots, instructions."""
    found = []
    for table in KEYED:
        query = select(table.id).where(table.key.startswith(prefix, autoescape=True)).order_by(table.id)
        found += [KeyMatch(table.__tablename__, row.id) for row in ledger.stream(query)]
    return found


def outputs_by_id(ledger: Ledger, ids: Sequence[int]) -> dict[int, Output]:
    """Outputs with their instructions, by id."""
    row = OutputRow
    query = (
        select(row.id, *ANSWERED)
        .join(InstructionRow, InstructionRow.id == row.instruction_id)
        .where(row.id.in_(ids))
    )
    return {each.id: output_of(each) for each in ledger.stream(query)}


def thinking_of(ledger: Ledger, output_id: int) -> str:
    """What a model thought before it wrote an output; empty where nothing is known."""
    row = OutputThinkingRow
    query = select(row.text).where(row.output_id == output_id)
    return next((str(each.text) for each in ledger.stream(query)), "")


def output_ids(ledger: Ledger, pair_id: int) -> tuple[int, int] | None:
    """The ids of a pair's two outputs; None where there is no such pair."""
    query = select(PairRow.output_a_id, PairRow.output_b_id).where(PairRow.id == pair_id)
    for row in ledger.stream(query):
        return row.output_a_id, row.output_b_id
    return None


def places_of(ledger: Ledger, pair_id: int) -> list[ItemName]:
    """The names of the items that a pair is."""
    query = select(ItemRow.source, ItemRow.subset, ItemRow.name).where(ItemRow.pair_id == pair_id)
    return [ItemName(*each) for each in ledger.stream(query.order_by(ItemRow.id))]


def shares(ledger: Ledger, of: Of) -> list[Share]:
    """Count judgements by annotator and status. Earlier attempts, and what was taken back, count too."""
    row = AnnotationRow
    query = select(row.annotator_id, row.status, func.count()).where(*_conditions(of))
    query = query.group_by(row.annotator_id, row.status).order_by(row.annotator_id, row.status)
    return [Share(who, AnnotationStatus(status), count) for who, status, count in ledger.stream(query)]


def judgements_of(ledger: Ledger, of: Of, limit: int) -> list[TracedJudgement]:
    """The first `limit` judgements, in the order in which they were written."""
    row, extra = AnnotationRow, ImportedRow
    query = (
        select(
            row.id, row.pair_id, row.annotator_id, row.preference, row.label, row.swapped, row.status,
            row.reason, row.replicate, row.attempt, CompletionRow.claim_id, row.slot,
            FileRow.format, FileRow.name, FileRow.sha256, extra.raw_completion,
        )
        .outerjoin(CompletionRow, CompletionRow.claim_id == row.completion_id)
        .outerjoin(extra, extra.annotation_id == row.id)
        .outerjoin(FileRow, FileRow.id == extra.file_id)
        .where(*_conditions(of))
        .order_by(row.id)
        .limit(limit)
    )  # fmt: skip
    return [_judgement(each) for each in ledger.stream(query)]


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
    row = AnnotationRow
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
        members = select(SnapshotMemberRow.annotation_id)
        found.append(row.id.in_(members.where(SnapshotMemberRow.snapshot_id == of.snapshot_id)))
    if of.producer is not None:
        a, b = aliased(OutputRow), aliased(OutputRow)
        pairs = select(PairRow.id).join(a, a.id == PairRow.output_a_id).join(b, b.id == PairRow.output_b_id)
        found.append(row.pair_id.in_(pairs.where(or_(a.producer == of.producer, b.producer == of.producer))))
    return found
