"""Judgements into the table `annotation` and the tables beside it, each once.

A judgement is known by its natural key: pair, annotator, item, replicate, order and attempt, which have a
unique index. A batch is written as if all of it were new. Only where something stood already is it compared
row by row. What stands in the tables `made_of`, `strength` and `aspect` is added to a judgement that was
there before, so an import by a later release can bring the strength that an earlier one left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import isclose
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from db.records import Annotation, Imported
from db.row_writer import LOOKUP, Cells, RowWriter
from db.tables import ANNOTATION, ASPECT, IMPORTED, MADE_OF, STRENGTH

NATURAL_KEY = ("pair_id", "annotator_id", "item_id", "replicate", "swapped", "attempt")
COLUMNS = (*NATURAL_KEY, "preference", "label", "status", "reason", "completion_id", "slot")
"""The columns of `annotation` after its id, in the order of the table."""
EXTRA_COLUMNS = tuple(each.name for each in fields(Imported))
"""The columns of `imported` after the annotation's id, in the order of the table. The first is the file."""


JUDGED = COLUMNS.index("completion_id")  # number of the columns that say what was judged


class Conflict(NamedTuple):
    """A judgement that the ledger already holds with another content; nothing was written for it."""

    place: int  # in what was given
    reason: str


class SideRows(NamedTuple):
    """Rows that stand beside a judgement, without its id: of `made_of`, `strength` and `aspect`."""

    parts: tuple[Cells, ...] = ()
    strength: tuple[Cells, ...] = ()
    aspects: tuple[Cells, ...] = ()


NOTHING: Mapping[int, SideRows] = MappingProxyType({})
BESIDE = (MADE_OF, STRENGTH, ASPECT)
"""The tables of the fields of `SideRows`, in their order."""


@dataclass(frozen=True)
class Written:
    """What became of a batch of judgements: added + known + len(conflicts) is its length.

    ids: of the judgements in the order in which they were given; 0 for a conflict.
    """

    added: int
    known: int
    conflicts: tuple[Conflict, ...] = ()
    ids: tuple[int, ...] = ()


class Held(NamedTuple):
    """A judgement as rows: the columns COLUMNS, and EXTRA_COLUMNS where it was imported."""

    row: Cells
    extra: Cells | None

    @property
    def content(self) -> tuple[Cells, Cells | None]:
        """All but the file: the same row in another file is the same judgement."""
        return self.row, self.extra and self.extra[1:]

    def is_known_by(self, other: Held) -> bool:
        """Whether both are the same judgement. One made here and its copy from a file may differ by rounding.

        A copy does not name the reply that the judgement was read from.
        """
        if (self.extra is None) == (other.extra is None):
            return self.content == other.content
        return all(map(_alike, self.row[:JUDGED], other.row[:JUDGED]))


def annotation_cells(fact: Annotation) -> Cells:
    """The values of COLUMNS."""
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


def beside_of(fact: Annotation) -> SideRows | None:
    """The rows that stand beside a judgement; None where there are none."""
    strength = (tuple(fact.strength),) if fact.strength else ()
    found = SideRows(tuple((part,) for part in fact.parts), strength, tuple(map(tuple, fact.aspects)))
    return found if any(found) else None


def write_judgements(
    rows: RowWriter,
    judgements: Sequence[Cells],
    extras: Mapping[int, Cells],
    *,
    beside: Mapping[int, SideRows] = NOTHING,
    offset: int = 0,
) -> Written:
    """Write a batch of judgements: the values of COLUMNS of each.

    extras: the values of EXTRA_COLUMNS by the judgement's place in the batch. beside: the rows beside it by
    the same place. offset: is added to the places of conflicts.
    """
    if not judgements:
        return Written(0, 0)
    first = rows.take_ids(ANNOTATION, len(judgements))
    savepoint = rows.connection.begin_nested()
    numbered = [(first + i, *row) for i, row in enumerate(judgements)]
    added = rows.insert(ANNOTATION, numbered, ("id", *COLUMNS), " ON CONFLICT DO NOTHING")
    if added == len(judgements):
        savepoint.commit()
        _insert_extras(rows, [(first + i, *extra) for i, extra in extras.items()])
        written = Written(added, 0, ids=tuple(range(first, first + added)))
    else:
        savepoint.rollback()
        rows.give_back_ids(ANNOTATION, first)
        written = _write_one_by_one(rows, judgements, extras, offset)
    write_beside(rows, {written.ids[i]: each for i, each in beside.items() if written.ids[i]})
    return written


def write_beside(rows: RowWriter, beside: Mapping[int, SideRows]) -> None:
    """Write what stands beside judgements, by their ids. What is there stays."""
    for table, field in zip(BESIDE, SideRows._fields, strict=True):
        found = [(number, *row) for number, each in beside.items() for row in getattr(each, field)]
        rows.insert(table, found, conflict=" ON CONFLICT DO NOTHING")


def write_parts(rows: RowWriter, wholes: Mapping[int, Sequence[Cells]]) -> None:
    """Point judgements to those of the same pair that they were made of. A part that is not here is left out.

    wholes: the natural keys of the parts, by the id of what was made of them.
    """
    pairs = sorted({key[0] for keys in wholes.values() for key in keys})
    ids: dict[Cells, int] = {}
    for i in range(0, len(pairs), LOOKUP):
        query = select(ANNOTATION.c.id, *(ANNOTATION.c[name] for name in NATURAL_KEY))
        for number, *key in rows.connection.execute(
            query.where(ANNOTATION.c.pair_id.in_(pairs[i : i + LOOKUP]))
        ):
            ids[tuple(key)] = number
    found = {whole: tuple((ids[key],) for key in keys if key in ids) for whole, keys in wholes.items()}
    write_beside(rows, {whole: SideRows(parts=parts) for whole, parts in found.items()})


def _write_one_by_one(
    rows: RowWriter, judgements: Sequence[Cells], extras: Mapping[int, Cells], offset: int
) -> Written:
    """Write those judgements of a batch that the ledger does not hold, and compare the others with it."""
    there, ids = _held(rows.connection, {row[0] for row in judgements})
    fresh: dict[Cells, Held] = {}
    conflicts: dict[int, Conflict] = {}
    for i, row in enumerate(judgements):
        key, given = _natural_key(row), Held(row, extras.get(i))
        if key not in there:
            there[key] = fresh[key] = given
        elif not there[key].is_known_by(given):
            conflicts[i] = Conflict(offset + i, _difference(there[key], given))
    first = rows.take_ids(ANNOTATION, len(fresh))
    ids |= {key: first + i for i, key in enumerate(fresh)}
    rows.insert(ANNOTATION, [(ids[key], *held.row) for key, held in fresh.items()], ("id", *COLUMNS))
    _insert_extras(rows, [(ids[key], *held.extra) for key, held in fresh.items() if held.extra])
    return Written(
        added=len(fresh),
        known=len(judgements) - len(fresh) - len(conflicts),
        conflicts=tuple(conflicts.values()),
        ids=tuple(0 if i in conflicts else ids[_natural_key(row)] for i, row in enumerate(judgements)),
    )


def _insert_extras(rows: RowWriter, extras: Sequence[Cells]) -> None:
    rows.insert(IMPORTED, extras, ("annotation_id", *EXTRA_COLUMNS))


def _held(connection: Connection, pair_ids: set[int]) -> tuple[dict[Cells, Held], dict[Cells, int]]:
    """What the ledger holds for these pairs, by natural key: the judgements, and their ids."""
    width = len(ANNOTATION.columns)
    found: dict[Cells, Held] = {}
    ids: dict[Cells, int] = {}
    wanted = sorted(pair_ids)
    for i in range(0, len(wanted), LOOKUP):
        query = (
            select(ANNOTATION, IMPORTED)
            .select_from(ANNOTATION.outerjoin(IMPORTED))
            .where(ANNOTATION.c.pair_id.in_(wanted[i : i + LOOKUP]))
        )
        for each in connection.execute(query):
            row, extra = tuple(each)[1:width], tuple(each)[width:]
            found[_natural_key(row)] = Held(row, None if extra[0] is None else extra[1:])
            ids[_natural_key(row)] = each[0]
    return found, ids


def _alike(one: Any, other: Any) -> bool:
    """Whether two cells are equal; numbers may differ by the rounding of 1 - p."""
    numbers = isinstance(one, float) and isinstance(other, float)
    return bool(one == other or (numbers and isclose(one, other, abs_tol=1e-12)))


def _natural_key(row: Cells) -> Cells:
    return row[: len(NATURAL_KEY)]


def _difference(held: Held, given: Held) -> str:
    """In words, the first column in which two judgements of one natural key differ."""
    columns = (COLUMNS, EXTRA_COLUMNS[1:])
    for names, old, new in zip(columns, held.content, given.content, strict=True):
        for name, before, after in zip(names, old or (), new or (), strict=False):
            if before != after:
                return (
                    f"this judgement is in the ledger already with {name} {before!r:.60}, not {after!r:.60}"
                )
    return "this judgement is in the ledger already, made here and not imported"
