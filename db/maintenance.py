"""Copies of a ledger: a backup while others write, and the merger of two ledgers by content."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Result, Table, select

from db.engine import Address, clear_errors, whole_state
from db.errors import ConfigError, LedgerError
from db.judgement_rows import BESIDE, Conflict, write_judgements
from db.ledger import Ledger
from db.row_writer import Cells
from db.sqlite_file import connect
from db.tables import (
    ANNOTATION,
    CLAIM,
    CLAIM_SLOT,
    COMPLETION,
    IMPORTED,
    LEASE,
    METADATA,
    OUTPUT_THINKING,
    SCHEMA_HISTORY,
)
from db.whole_files import write_whole
from db.writer import Writer

PAGES = 4_096  # pages copied in one step; writers can go on between steps
BATCH = 10_000  # rows
Ids = dict[str, dict[int, int]]  # table name -> id in the other ledger -> id in ours
CONTENT = (  # parents first
    "instruction", "output", "pair", "annotator", "item", "file", "membership", "rating",
)  # fmt: skip


@dataclass(frozen=True)
class Merged:
    """The result of a merger."""

    added: dict[str, int]  # new facts by table
    conflicts: tuple[Conflict, ...]  # judgements that both ledgers hold with different content


def backup(ledger: Ledger, target: Path) -> int:
    """Copy the ledger to a new SQLite file and check the copy. Others may write meanwhile.

    The copy gets its name only when it is complete and synced to disk. A PostgreSQL ledger is copied row by
    row. Returns the size of the copy in bytes. Raises ConfigError where the target exists, or the log of
    another ledger stands beside it, which SQLite would write into the copy.
    """

    def copy(unfinished: Path) -> None:
        try:
            if ledger.address.path:
                _copy_pages(ledger.address.path, unfinished, ledger.read_only)
            else:
                _copy_rows(ledger, unfinished)
            with Ledger.open(unfinished) as made:
                made.check()
        finally:
            for leftover in ("-wal", "-shm"):
                Path(f"{unfinished}{leftover}").unlink(missing_ok=True)

    if Address.of(target).wal_bytes:  # raises OSError where the name leaves no room for the log's
        what = f"{target.name}-wal is the log of a ledger that stood under this name"
        raise ConfigError(what, where=str(target), remedy="name another file, or move that one away first")
    write_whole(target, copy)
    return target.stat().st_size


def _copy_pages(source: Path, target: Path, read_only: bool) -> None:
    address = Address.of(source)
    with (
        clear_errors(address),
        closing(connect(source, read_only)) as read,
        whole_state(read, address),
    ):
        read.execute(
            "SELECT count(*) FROM sqlite_master"
        )  # opens the file: its faults are no faults of the copy
        with clear_errors(Address.of(target)), closing(sqlite3.connect(target)) as write:
            read.backup(write, pages=PAGES, sleep=0.01)


def _copy_rows(ledger: Ledger, target: Path) -> None:
    """Copy every row of every table, with its id, into a new SQLite file."""
    with Ledger.open(target, create=True) as copy, copy.writing() as writer, ledger.reading() as source:
        for table in METADATA.sorted_tables:
            if table.name not in (SCHEMA_HISTORY.name, LEASE.name):
                for rows in _batches(source.execute(select(table).order_by(*table.primary_key))):
                    writer.rows.insert(table, [tuple(row) for row in rows])


def merge(ledger: Ledger, other: Ledger, keep_ours: bool = False) -> Merged:
    """Add the facts of `other` to `ledger` in one transaction. A fact that both hold is not doubled.

    Snapshots, runs and checkpoints are not merged. keep_ours: where both ledgers hold a judgement with
    different content, keep ours and report the conflict. Without it, a conflict raises LedgerError and
    nothing is written.
    """
    before = ledger.counts()
    with ledger.writing() as writer, other.reading() as source:
        ids: Ids = {}
        for name in CONTENT:
            ids[name] = _merge_content(writer, source, METADATA.tables[name], ids)
        for rows in _batches(source.execute(select(OUTPUT_THINKING))):
            writer.thoughts({ids["output"][row.output_id]: row.text for row in rows})
        ids["completion"] = ids["claim"] = _merge_completions(writer, source, ids)
        conflicts = _merge_judgements(writer, source, ids)
        if conflicts and not keep_ours:
            raise LedgerError(
                f"{len(conflicts)} judgements differ in the two ledgers; the first: {conflicts[0].reason}",
                where=str(other.address),
                remedy="merge with --keep-ours to keep what this ledger holds",
            )
    after = ledger.counts()
    return Merged({name: after[name] - before[name] for name in after}, tuple(conflicts))


def _merge_content(writer: Writer, source: Connection, table: Table, ids: Ids) -> dict[int, int]:
    """Add the rows of one keyed table. Returns id in the other ledger -> id in ours."""
    mapped: dict[int, int] = {}
    for rows in _batches(source.execute(select(table).order_by(table.c.id))):
        columns = [_mapped(table, row, ids)[2:] for row in rows]
        keys = [row.key for row in rows]
        ours = writer.rows.keyed(table, table.columns.keys()[2:], keys, partial(_chosen, columns))
        mapped |= {row.id: own for row, own in zip(rows, ours, strict=True)}
    return mapped


def _merge_completions(writer: Writer, source: Connection, ids: Ids) -> dict[int, int]:
    """Add claims and completions. A reply that ours does not hold becomes a later attempt at its request."""
    mapped: dict[int, int] = {}
    query = select(CLAIM, COMPLETION).select_from(CLAIM.outerjoin(COMPLETION)).order_by(CLAIM.c.id)
    width = len(CLAIM.columns)
    for batch in _batches(source.execute(query)):
        slots = _slots(source, [row.id for row in batch], ids)
        for row in batch:
            completion = tuple(row[width:])[1:] if row[width] is not None else None
            claim = (row.request_key, row.draw_key, row.run, row.request)
            mapped[row.id] = writer.claim_like(claim, slots[row.id], completion)
    return mapped


def _slots(source: Connection, claim_ids: Sequence[int], ids: Ids) -> dict[int, list[Cells]]:
    """By claim of the other ledger, its rows of claim_slot without the claim's id."""
    found: dict[int, list[Cells]] = {claim_id: [] for claim_id in claim_ids}
    query = select(CLAIM_SLOT).where(CLAIM_SLOT.c.claim_id.in_(claim_ids)).order_by(CLAIM_SLOT.c.slot)
    for row in source.execute(query):
        found[row.claim_id].append(_mapped(CLAIM_SLOT, row, ids)[1:])
    return found


def _merge_judgements(writer: Writer, source: Connection, ids: Ids) -> list[Conflict]:
    """Add judgements with what stands beside them; those that contradict ours are returned."""
    query = select(ANNOTATION, IMPORTED).select_from(ANNOTATION.outerjoin(IMPORTED)).order_by(ANNOTATION.c.id)
    width, offset = len(ANNOTATION.columns), 0
    conflicts: list[Conflict] = []
    named = _named_beside(source)
    ours: dict[int, int] = {}
    for batch in _batches(source.execute(query)):
        rows = [_mapped(ANNOTATION, row[:width], ids)[1:] for row in batch]
        extras = {i: _mapped(IMPORTED, row[width:], ids)[1:] for i, row in enumerate(batch) if row[width]}
        written = write_judgements(writer.rows, rows, extras, offset=offset)
        conflicts += written.conflicts
        ours |= {row[0]: own for row, own in zip(batch, written.ids, strict=True) if own and row[0] in named}
        offset += len(rows)
    _merge_beside(writer, source, ours)
    return conflicts


def _named_beside(source: Connection) -> set[int]:
    """The ids of all judgements that the tables beside `annotation` name."""
    columns = [column for table in BESIDE for column in table.columns if column.foreign_keys]
    return {number for column in columns for (number,) in source.execute(select(column).distinct())}


def _merge_beside(writer: Writer, source: Connection, ours: dict[int, int]) -> None:
    """Add what stands beside judgements. ours: id of a judgement in the other ledger -> id in ours.

    What names a judgement that ours contradicts is left out.
    """
    for table in BESIDE:
        width = sum(bool(column.foreign_keys) for column in table.columns)
        for batch in _batches(source.execute(select(table))):
            known = [row for row in batch if all(each in ours for each in row[:width])]
            rows = [(*(ours[each] for each in row[:width]), *row[width:]) for row in known]
            writer.rows.insert(table, rows, conflict=" ON CONFLICT DO NOTHING")


def _chosen(columns: Sequence[Cells], places: Sequence[int]) -> list[Cells]:
    return [columns[place] for place in places]


def _mapped(table: Table, row: Sequence[Any], ids: Ids) -> Cells:
    """The row with its references turned into our ids. Ids of annotations stay: the callers drop them."""
    mapped = []
    for column, value in zip(table.columns, row, strict=True):
        for reference in column.foreign_keys:
            parent = reference.column.table.name
            value = ids[parent][value] if value is not None and parent in ids else value
        mapped.append(value)
    return tuple(mapped)


def _batches(result: Result[Any]) -> Iterator[Sequence[Any]]:
    while rows := result.fetchmany(BATCH):
        yield rows
