"""`Ledger`: open a ledger, write facts to it, read facts from it.

A ledger is append-only: nothing that was written changes. `Ledger.open(...)` opens one. `writing()` is a
transaction that becomes visible as a whole or not at all. All other methods read, and return records and
numbers, never SQLAlchemy objects. Further questions are in db/queries.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, Executable, Integer, Select, bindparam, func, select

from db.engine import WRITE, Address, clear_errors, foreign_tables, make_engine, whole_state
from db.errors import LedgerCorrupt, LedgerNotFound, LedgerReadOnly, LedgerUnreachable
from db.instruction_rows import ASKED, instruction_of, sides
from db.records import (
    AnnotationStatus,
    AnnotatorCard,
    AnnotatorKind,
    Instruction,
    Membership,
    Output,
    Pair,
    ProducerKind,
    Question,
    Use,
    turns_from_json,
)
from db.records import PairFilter as PairFilter
from db.schema import ensure_current, is_current, refuse_foreign
from db.tables import (
    ANNOTATION,
    ANNOTATOR,
    INSTRUCTION,
    ITEM,
    MEMBERSHIP,
    METADATA,
    OUTPUT,
    PAIR,
    SCHEMA_HISTORY,
)
from db.writer import Writer

CHUNK = 2_000  # rows fetched at a time when streaming
PATIENCE = 30.0  # seconds in which a server that went away may come back
Result = TypeVar("Result")
COUNTED = ("instruction", "output", "pair", "item", "annotator", "annotation", "rating", "membership", "file")


class Standing(NamedTuple):
    """The latest attempt at a question, and its outcome."""

    attempt: int
    status: AnnotationStatus


class Ledger:
    """An open ledger. Use as a context manager, or call `close`."""

    def __init__(self, address: Address, engine: Engine, read_only: bool) -> None:
        self.address = address
        self.read_only = read_only
        self._engine = engine
        self._frozen: Connection | None = None

    @classmethod
    def open(cls, ledger: str | Path, *, create: bool = False, read_only: bool = False) -> Ledger:
        """Open a SQLite file or a PostgreSQL URL.

        create: make the ledger where there is none. read_only: refuse writing; this is also so where the
        file's permissions allow reading only. An older schema is upgraded. After a writer was killed, the
        file is checked first. Raises LedgerNotFound, LedgerTooNew, LedgerCorrupt, LedgerReadOnly, LedgerBusy.
        """
        address = Address.of(ledger)
        if address.path:
            read_only = read_only or _only_readable(address.path)
            if not create and (not address.path.exists() or not address.path.stat().st_size):
                raise LedgerNotFound(
                    "there is no ledger here",
                    where=str(address),
                    remedy="make one with `farm import`, or name another with --ledger",
                )
            if os.access(address.path, os.R_OK) and address.path.is_file():
                refuse_foreign(foreign_tables(address.path), str(address))
        unclean = address.wal_bytes > 0
        opened = cls(address, make_engine(address, read_only), read_only)
        try:
            if unclean and not read_only:
                opened.check()
            opened._bring_up_to_date()
        except BaseException:
            opened.close()
            raise
        return opened

    def _bring_up_to_date(self) -> None:
        """Upgrade an older schema. The check alone takes no write lock."""
        with self._transaction() as connection:
            current = is_current(connection, str(self.address), self.read_only)
        if not current:
            with self._transaction(write=True) as connection:
                ensure_current(connection, str(self.address))

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection. The last connection that closes writes SQLite's log into the file."""
        with clear_errors(self.address):
            self._engine.dispose()

    # Writing

    def refuse_read_only(self) -> None:
        """Raise LedgerReadOnly where nothing can be written, before work that would be lost."""
        if self.read_only:
            raise LedgerReadOnly(
                "the ledger cannot be written",
                where=str(self.address),
                remedy="check the permissions of the file and its folder",
            )

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """One transaction: what is written becomes visible at its end, or, after an exception, not at all."""
        with self._transaction(write=True) as connection:
            yield Writer(connection)

    def write_patiently(self, write: Callable[[Writer], Result]) -> Result:
        """Let `write` write in one transaction, as often as `patiently` says."""

        def act() -> Result:
            with self.writing() as writer:
                return write(writer)

        return self.patiently(act)

    def patiently(self, act: Callable[[], Result]) -> Result:
        """Let `act` read or write, and again where the server breaks the connection.

        act: harmless when it is done twice, for its first transaction may have reached the disk. Raises
        LedgerUnreachable where the server stays away for PATIENCE seconds.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return act()
            except LedgerUnreachable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    @contextmanager
    def _transaction(self, write: bool = False) -> Iterator[Connection]:
        options: dict[str, Any] = WRITE if write else {}
        with (
            clear_errors(self.address),
            self._engine.connect().execution_options(**options) as connection,
            connection.begin(),
            whole_state(connection, self.address),
        ):
            yield connection

    # Reading

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection in one transaction, which sees one state of the ledger. Private to db/."""
        if self._frozen is not None:
            yield self._frozen
            return
        with self._transaction() as connection:
            yield connection

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """In the block all reads see one state of the ledger, whatever others write. For one thread."""
        if self._frozen is not None:
            yield
            return
        with self._transaction() as connection:
            self._frozen = connection
            try:
                yield
            finally:
                self._frozen = None

    def counts(self) -> dict[str, int]:
        """The number of facts in each table."""
        tables = METADATA.tables
        with self.reading() as connection:
            return {
                name: connection.execute(select(func.count()).select_from(tables[name])).scalar_one()
                for name in COUNTED
            }

    def revision(self) -> str:
        """The revision of the schema, such as "0004"."""
        with self.reading() as connection:
            return str(connection.execute(select(func.max(SCHEMA_HISTORY.c.revision))).scalar_one())

    def annotators(self) -> list[AnnotatorCard]:
        """Every annotator, in the order in which they were added."""
        with self.reading() as connection:
            rows = connection.execute(select(ANNOTATOR).order_by(ANNOTATOR.c.id)).all()
        return [
            AnnotatorCard(row.name, AnnotatorKind(row.kind), json.loads(row.spec), row.id) for row in rows
        ]

    def pairs(self, wanted: PairFilter = PairFilter()) -> Iterator[Pair]:
        """Stream the pairs with their texts, by id. Memory does not grow with their number."""
        for row in self.stream(_pairs_query(wanted)):
            instruction = instruction_of(row)
            yield Pair(
                _output(instruction, row, "a"),
                _output(instruction, row, "b"),
                row.id,
            )

    def pair_keys(self, wanted: PairFilter = PairFilter()) -> dict[int, str]:
        """The keys of the pairs by id, without their texts. A pair of an output with itself is left out."""
        query = select(PAIR.c.id, PAIR.c.key).where(PAIR.c.output_a_id != PAIR.c.output_b_id)
        return {row.id: row.key for row in self.stream(filtered(query.order_by(PAIR.c.id), wanted))}

    def memberships(self) -> Iterator[Membership]:
        """Stream the instructions of all named sets."""
        query = (
            select(MEMBERSHIP, *ASKED)
            .join(INSTRUCTION, INSTRUCTION.c.id == MEMBERSHIP.c.instruction_id)
            .order_by(MEMBERSHIP.c.id)
        )
        for row in self.stream(query):
            use = None if row.use is None else Use(row.use)
            yield Membership(
                instruction=instruction_of(row),
                set_name=row.set_name,
                use=use,
                category=row.category,
                name=row.name,
                meta=row.meta,
            )

    def imported_instructions(self) -> Iterator[tuple[str, Instruction]]:
        """Stream (source, instruction) of the imported items that have judgements, each once."""
        query = (
            select(ITEM.c.source, *ASKED)
            .join(PAIR, PAIR.c.id == ITEM.c.pair_id)
            .join(OUTPUT, OUTPUT.c.id == PAIR.c.output_a_id)
            .join(INSTRUCTION, INSTRUCTION.c.id == OUTPUT.c.instruction_id)
            .where(ITEM.c.id.in_(select(ANNOTATION.c.item_id)))
            .distinct()
            .order_by(ITEM.c.source, *ASKED)
        )
        for row in self.stream(query):
            yield row.source, instruction_of(row)

    def standing(
        self, annotator_id: int, pair_ids: Sequence[int], replicates: range | None = None
    ) -> dict[Question, Standing]:
        """The latest attempt of this annotator at each question about these pairs. Imports do not count.

        replicates: those to look at, without gaps; None for all.
        """
        row = ANNOTATION.c
        query = (
            select(row.pair_id, row.replicate, row.swapped, row.attempt, row.status)
            .where(row.annotator_id == annotator_id, row.item_id.is_(None), row.pair_id.in_(pair_ids))
            .order_by(row.attempt)
        )
        if replicates is not None:
            query = query.where(row.replicate >= replicates.start, row.replicate < replicates.stop)
        with self.reading() as connection:
            return {
                Question(pair, replicate, bool(swapped)): Standing(attempt, AnnotationStatus(status))
                for pair, replicate, swapped, attempt, status in connection.execute(query)
            }

    def flipped_pairs(self) -> set[int]:
        """Ids of the pairs whose first imported item is the other way round: its output_1 is output_b."""
        query = select(ITEM.c.pair_id, ITEM.c.flipped).order_by(ITEM.c.id.desc())
        with self.reading() as connection:
            first = {row.pair_id: row.flipped for row in connection.execute(query)}
        return {pair for pair, flipped in first.items() if flipped}

    def stream(self, query: Executable) -> Iterator[Any]:
        """Stream the rows of a query, fetched as they are needed. Private to db/."""
        with self.reading() as connection:
            result = connection.execute(query, execution_options={"yield_per": CHUNK})
            yield from result

    # Health

    def check(self) -> None:
        """Read every page of a SQLite file. Raises LedgerCorrupt, which names the first fault found.

        Nothing is done for PostgreSQL, which has its own checks.
        """
        if self.address.path is None:
            return
        with (
            clear_errors(self.address),
            self._engine.connect() as connection,
            whole_state(connection, self.address),
        ):
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if found != "ok":
            raise LedgerCorrupt(
                f"the ledger is damaged: {str(found).splitlines()[-1]}",
                where=str(self.address),
                remedy="restore a copy made with `farm backup`; `farm export` saves what still reads",
            )


def _only_readable(path: Path) -> bool:
    try:
        return path.exists() and not os.access(path, os.W_OK)
    except PermissionError:
        remedy = "check the permissions of the file and its folder"
        raise LedgerReadOnly("the ledger cannot be reached", where=str(path), remedy=remedy) from None


def _output(instruction: Instruction, row: Any, side: str) -> Output:
    text, producer, kind, decoding, sample, turns = (
        getattr(row, f"{name}_{side}") for name in ("text", "producer", "kind", "decoding", "sample", "turns")
    )
    return Output(
        instruction=instruction,
        text=text,
        producer=producer,
        producer_kind=ProducerKind(kind),
        decoding=decoding,
        sample=sample,
        turns=turns_from_json(turns),
    )


def _pairs_query(wanted: PairFilter) -> Executable:
    a, b = OUTPUT.alias(), OUTPUT.alias()
    query = (
        select(PAIR.c.id, *ASKED, *sides(a, b))
        .join(a, a.c.id == PAIR.c.output_a_id)
        .join(b, b.c.id == PAIR.c.output_b_id)
        .join(INSTRUCTION, INSTRUCTION.c.id == a.c.instruction_id)
        .order_by(PAIR.c.id)
    )
    return filtered(query, wanted)


def filtered(query: Select[*tuple[Any, ...]], wanted: PairFilter) -> Executable:
    """The query over pairs, restricted to those that are wanted. Private to db/."""
    if wanted.source is not None or wanted.subset is not None:
        items = select(ITEM.c.pair_id)
        if wanted.source is not None:
            items = items.where(ITEM.c.source == wanted.source)
        if wanted.subset is not None:
            items = items.where(ITEM.c.subset == wanted.subset)
        query = query.where(PAIR.c.id.in_(items))
    if wanted.after:
        query = query.where(PAIR.c.id > wanted.after)
    if wanted.ids is not None:  # as literals: there may be more ids than a query may have parameters
        rest = sorted(each for each in wanted.ids if each > wanted.after)
        whole = wanted.source is None and wanted.subset is None
        chosen = [int(each) for each in (rest[: wanted.limit] if whole else rest)]
        query = query.where(
            PAIR.c.id.in_(bindparam("ids", chosen, Integer, expanding=True, literal_execute=True))
        )
    return query if wanted.limit is None else query.limit(wanted.limit)
