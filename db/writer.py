"""Idempotent bulk writes inside one transaction. Reached through `Ledger.writing()` alone.

Ids are given out here and not by the database (there is one writer at a time), so that the same facts
written in the same order make the same ledger, row for row, whatever was interrupted in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.exc import DataError

from db.errors import LedgerError
from db.records import (
    Annotation,
    AnnotatorCard,
    Claim,
    Completion,
    Imported,
    Instruction,
    Item,
    Membership,
    Output,
    Pair,
    Run,
    SourceFile,
)
from db.tables import (
    ANNOTATION,
    CHECKPOINT,
    CLAIM,
    CLAIM_SLOT,
    COMPLETION,
    IMPORTED,
    METRIC,
    RUN,
    SNAPSHOT,
    SNAPSHOT_ROW,
    AnnotatorRow,
    Base,
    FileRow,
    InstructionRow,
    ItemRow,
    MembershipRow,
    OutputRow,
    PairRow,
)

LOOKUP = 5_000  # keys in one SELECT


class Keyed(Protocol):
    @property
    def key(self) -> str: ...


Fact = TypeVar("Fact", bound=Keyed)
Cells = tuple[Any, ...]


class ImportedJudgement(NamedTuple):
    """An annotation and, where it was imported, what its row carried beside it."""

    annotation: Annotation
    imported: Imported | None = None


class Conflict(NamedTuple):
    """A judgement that the ledger already holds with another content; nothing was written for it."""

    place: int  # in what was given
    reason: str


@dataclass(frozen=True)
class Written:
    """What became of a batch of judgements: added + known + len(conflicts) is its length."""

    added: int
    known: int
    conflicts: tuple[Conflict, ...] = ()


class Writer:
    """The open transaction: each method takes records and returns their ids in this ledger, in order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._mark = "?" if connection.dialect.name == "sqlite" else "%s"
        self._next: dict[str, int] = {}
        self._added: Counter[str] = Counter()

    def instructions(self, facts: Sequence[Instruction]) -> list[int]:
        return self._ids(InstructionRow, facts, lambda new: [(i.text, i.input) for i in new])

    def outputs(self, facts: Sequence[Output]) -> list[int]:
        def rows(new: Sequence[Output]) -> list[Cells]:
            instructions = self.instructions([output.instruction for output in new])
            return [
                (parent, o.text, o.producer, o.producer_kind.value, o.decoding, o.sample)
                for parent, o in zip(instructions, new, strict=True)
            ]

        return self._ids(OutputRow, facts, rows)

    def pairs(self, facts: Sequence[Pair]) -> list[int]:
        def rows(new: Sequence[Pair]) -> list[Cells]:
            both = self.outputs([output for pair in new for output in (pair.output_a, pair.output_b)])
            return list(zip(both[::2], both[1::2], strict=True))

        return self._ids(PairRow, facts, rows)

    def annotators(self, facts: Sequence[AnnotatorCard]) -> list[int]:
        return self._ids(AnnotatorRow, facts, lambda new: [(a.name, a.kind.value, a.spec_json) for a in new])

    def items(self, facts: Sequence[Item]) -> list[int]:
        def rows(new: Sequence[Item]) -> list[Cells]:
            pairs = self.pairs([item.pair for item in new])
            return [
                (i.source, i.subset, i.name, pair, i.flipped, i.instruction_ref)
                for pair, i in zip(pairs, new, strict=True)
            ]

        return self._ids(ItemRow, facts, rows)

    def files(self, facts: Sequence[SourceFile]) -> list[int]:
        return self._ids(FileRow, facts, lambda new: [(f.format, f.name, f.sha256) for f in new])

    def memberships(self, facts: Sequence[Membership]) -> list[int]:
        def rows(new: Sequence[Membership]) -> list[Cells]:
            instructions = self.instructions([membership.instruction for membership in new])
            return [
                (parent, m.set_name, m.use and m.use.value, m.category, m.name, m.meta)
                for parent, m in zip(instructions, new, strict=True)
            ]

        return self._ids(MembershipRow, facts, rows)

    def annotations(self, facts: Iterable[Annotation], batch: int = 10_000) -> Written:
        """Write judgements made here, in batches, all in this transaction."""
        stream, parts, offset = map(_annotation_row, facts), [], 0
        while rows := list(islice(stream, batch)):
            parts.append(self.judgement_rows(rows, {}, offset))
            offset += len(rows)
        conflicts = tuple(conflict for part in parts for conflict in part.conflicts)
        return Written(sum(part.added for part in parts), sum(part.known for part in parts), conflicts)

    def judgements(self, facts: Sequence[ImportedJudgement]) -> Written:
        """Write imported judgements with what their rows carried."""
        extras = {i: astuple(fact.imported) for i, fact in enumerate(facts) if fact.imported}
        return self.judgement_rows([_annotation_row(fact.annotation) for fact in facts], extras)

    def claims(self, facts: Sequence[Claim]) -> list[int | None]:
        """Write what is about to be asked; None for an attempt at a request that somebody has claimed."""
        keys = list({fact.request_key for fact in facts})
        taken: set[tuple[str, int]] = set()
        for i in range(0, len(keys), LOOKUP):
            query = select(CLAIM.c.request_key, CLAIM.c.attempt)
            query = query.where(CLAIM.c.request_key.in_(keys[i : i + LOOKUP]))
            taken |= {(row.request_key, row.attempt) for row in self._connection.execute(query)}
        ids: list[int | None] = []
        claims, slots = [], []
        for fact in facts:
            if (fact.request_key, fact.attempt) in taken:
                ids.append(None)
                continue
            taken.add((fact.request_key, fact.attempt))
            number = self._take_ids(CLAIM, 1)
            ids.append(number)
            claims.append((number, fact.request_key, fact.attempt, fact.draw_key, fact.run, fact.request))
            slots += [
                (number, i, question.pair_id, question.replicate, int(question.swapped))
                for i, question in enumerate(fact.questions)
            ]
        self._insert(CLAIM, claims)
        self._insert(CLAIM_SLOT, slots)
        return ids

    def snapshot(self, name: str, key: str, choice: str, annotation_ids: Sequence[int]) -> int:
        """Freeze these judgements under a name."""
        number = self._take_ids(SNAPSHOT, 1)
        self._insert(SNAPSHOT, [(number, key, name, choice)])
        self._insert(SNAPSHOT_ROW, [(number, annotation_id) for annotation_id in annotation_ids])
        return number

    def run(self, fact: Run) -> int:
        """Write that a training run begins."""
        number = self._take_ids(RUN, 1)
        self._insert(RUN, [(number, *astuple(fact))])
        return number

    def metrics(self, run_id: int, step: int, values: Mapping[str, float]) -> None:
        """Write a run's metrics at a step; a step that is trained again after a kill has them already."""
        rows = [(run_id, step, name, value) for name, value in values.items()]
        self._insert(METRIC, rows, " ON CONFLICT DO NOTHING")

    def checkpoint(self, run_id: int, step: int, path: str) -> int:
        """Write that a run left a checkpoint."""
        number = self._take_ids(CHECKPOINT, 1)
        self._insert(CHECKPOINT, [(number, run_id, step, path)])
        return number

    def completions(self, facts: Sequence[Completion]) -> None:
        """Write what came of claims, each once."""
        self._insert(COMPLETION, [astuple(fact) for fact in facts])

    def claim_like(self, claim: Cells, slots: Sequence[Cells], completion: Cells | None) -> int:
        """The claim of ours with this request and completion; written as a further attempt if there is none.

        claim: request_key, draw_key, run, request; slots: the columns of claim_slot after claim and slot.
        """
        query = select(CLAIM.c.id, CLAIM.c.attempt, COMPLETION).select_from(CLAIM.outerjoin(COMPLETION))
        attempt = 0
        for row in self._connection.execute(query.where(CLAIM.c.request_key == claim[0])):
            if completion in (None, tuple(row[3:]) if row[2] is not None else None):
                return int(row.id)
            attempt = max(attempt, row.attempt + 1)
        number = self._take_ids(CLAIM, 1)
        self._insert(CLAIM, [(number, claim[0], attempt, *claim[1:])])
        self._insert(CLAIM_SLOT, [(number, *slot) for slot in slots])
        if completion is not None:
            self._insert(COMPLETION, [(number, *completion)])
        return number

    def copied_rows(self, table: Table, rows: Sequence[Cells]) -> None:
        """Rows of another ledger as they are, into a new one."""
        self._insert(table, rows)

    def new_facts(self, write: Callable[[Sequence[Fact]], list[int]], facts: Sequence[Fact]) -> int:
        """Write these facts by one of the methods above; returns how many were new, each counted once."""
        table = write.__name__.removesuffix("s")
        before = self._added[table]
        write(facts)
        return self._added[table] - before

    # The keyed tables: a fact is there already when its hash is.

    def _ids(
        self, model: type[Base], facts: Sequence[Fact], rows: Callable[[Sequence[Fact]], Sequence[Cells]]
    ) -> list[int]:
        table = Base.metadata.tables[model.__tablename__]
        keys = [fact.key for fact in facts]
        return self.keyed_rows(table, keys, lambda new: rows([facts[i] for i in new]))

    def keyed_rows(
        self, table: Table, keys: Sequence[str], rows: Callable[[Sequence[int]], Sequence[Cells]]
    ) -> list[int]:
        """Ids of the facts with these keys; `rows` gives the columns after id and key of the new ones."""
        ids = self._known_ids(table, list(dict.fromkeys(keys)))
        places: dict[str, int] = {}
        for i, key in enumerate(keys):
            if key not in ids:
                places.setdefault(key, i)
        if places:
            values = rows(list(places.values()))
            first = self._take_ids(table, len(places))
            self._added[table.name] += len(places)
            ids |= {key: first + i for i, key in enumerate(places)}
            self._insert(table, [(ids[key], key, *row) for key, row in zip(places, values, strict=True)])
        return [ids[key] for key in keys]

    def _known_ids(self, table: Table, keys: list[str]) -> dict[str, int]:
        known: dict[str, int] = {}
        for i in range(0, len(keys), LOOKUP):
            query = select(table.c.key, table.c.id).where(table.c.key.in_(keys[i : i + LOOKUP]))
            known |= {row.key: row.id for row in self._connection.execute(query)}
        return known

    def _take_ids(self, table: Table, count: int) -> int:
        """The first of `count` fresh ids."""
        if table.name not in self._next:
            highest = self._connection.execute(select(func.max(table.c.id))).scalar()
            self._next[table.name] = (highest or 0) + 1
        first = self._next[table.name]
        self._next[table.name] += count
        return first

    def _insert(self, table: Table, rows: Sequence[Cells], conflict: str = "") -> int:
        """INSERT by the driver's executemany, which is several times faster than through the ORM."""
        if not rows:
            return 0
        columns = ", ".join(column.name for column in table.columns)
        marks = ", ".join([self._mark] * len(table.columns))
        statement = f"INSERT INTO {table.name} ({columns}) VALUES ({marks}){conflict}"
        try:
            return self._connection.exec_driver_sql(statement, list(rows)).rowcount
        except UnicodeEncodeError as error:
            raise _unstorable(table, "a lone surrogate, which is no character") from error
        except DataError as error:
            if "NUL" not in str(error.orig):
                raise
            raise _unstorable(table, "a NUL character, which PostgreSQL does not store") from error

    # Annotations: the natural key is a unique index over integers.

    def judgement_rows(self, rows: Sequence[Cells], extras: Mapping[int, Cells], offset: int = 0) -> Written:
        """Try the whole batch as new; only where something stood already look at it row by row.

        rows: the columns of `annotation` after id; extras: by place in rows, those of `imported` after id.
        """
        if not rows:
            return Written(0, 0)
        first = self._take_ids(ANNOTATION, len(rows))
        savepoint = self._connection.begin_nested()
        added = self._insert(
            ANNOTATION, [(first + i, *row) for i, row in enumerate(rows)], " ON CONFLICT DO NOTHING"
        )
        if added == len(rows):
            savepoint.commit()
            self._insert(IMPORTED, [(first + i, *extra) for i, extra in extras.items()])
            return Written(added, 0)
        savepoint.rollback()
        self._next[ANNOTATION.name] = first
        return self._judge_one_by_one(rows, extras, offset)

    def _judge_one_by_one(self, rows: Sequence[Cells], extras: Mapping[int, Cells], offset: int) -> Written:
        known = self._judgements_of({row[0] for row in rows})
        fresh: dict[Cells, tuple[Cells, Cells | None]] = {}
        conflicts = []
        for i, row in enumerate(rows):
            natural, held = _natural_key(row), (row, extras.get(i))
            if natural not in known:
                known[natural] = fresh[natural] = held
            elif _without_file(known[natural]) != _without_file(held):
                conflicts.append(Conflict(offset + i, _difference(known[natural], held)))
        first = self._take_ids(ANNOTATION, len(fresh))
        numbered = list(enumerate(fresh.values(), first))
        self._insert(ANNOTATION, [(i, *row) for i, (row, _) in numbered])
        self._insert(IMPORTED, [(i, *extra) for i, (_, extra) in numbered if extra])
        return Written(len(fresh), len(rows) - len(fresh) - len(conflicts), tuple(conflicts))

    def _judgements_of(self, pairs: set[int]) -> dict[Cells, tuple[Cells, Cells | None]]:
        """What the ledger holds for these pairs, by natural key, with the imported rows."""
        width = len(ANNOTATION.columns)
        held: dict[Cells, tuple[Cells, Cells | None]] = {}
        wanted = sorted(pairs)
        for i in range(0, len(wanted), LOOKUP):
            query = (
                select(ANNOTATION, IMPORTED)
                .select_from(ANNOTATION.outerjoin(IMPORTED))
                .where(ANNOTATION.c.pair_id.in_(wanted[i : i + LOOKUP]))
            )
            for found in self._connection.execute(query):
                row, rest = tuple(found)[1:width], tuple(found)[width:]
                held[_natural_key(row)] = (row, None if rest[0] is None else rest[1:])
        return held


def _unstorable(table: Table, what: str) -> LedgerError:
    remedy = "repair the text where it comes from"
    return LedgerError(f"a text for the table {table.name} holds {what}", remedy=remedy)


_ANNOTATION_COLUMNS = ANNOTATION.columns.keys()[1:]
_IMPORTED_COLUMNS = IMPORTED.columns.keys()[2:]


def _annotation_row(fact: Annotation) -> Cells:
    swapped = fact.swapped
    return (
        fact.pair_id,
        fact.annotator_id,
        fact.item_id,
        fact.replicate,
        swapped if swapped is None else int(swapped),
        fact.attempt,
        fact.preference,
        fact.label,
        fact.status.value,
        fact.reason,
        fact.completion_id,
        fact.slot,
    )


def _natural_key(row: Cells) -> Cells:
    return row[:6]


def _without_file(held: tuple[Cells, Cells | None]) -> tuple[Cells, Cells | None]:
    """The same row in another file is the same row."""
    row, extra = held
    return row, extra and extra[1:]


def _difference(held: tuple[Cells, Cells | None], given: tuple[Cells, Cells | None]) -> str:
    """In words, the first column in which two rows of one natural key differ."""
    held, given = _without_file(held), _without_file(given)
    for names, old, new in zip((_ANNOTATION_COLUMNS, _IMPORTED_COLUMNS), held, given, strict=True):
        for name, before, after in zip(names, old or (), new or (), strict=False):
            if before != after:
                return (
                    f"this judgement is in the ledger already with {name} {before!r:.60}, not {after!r:.60}"
                )
    return "this judgement is in the ledger already, made here and not imported"
