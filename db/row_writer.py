"""Rows into tables, inside one transaction: fresh ids, fast inserts, and rows that are known by their key.

Ids are given out here and not by the database, which is possible because there is one writer at a time. So
the same facts, written in the same order, make the same ledger row for row, whatever was interrupted between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.exc import DataError

from db.errors import UnstorableRow

LOOKUP = 5_000  # keys in one SELECT
Cells = tuple[Any, ...]
"""The values of a row, or of a part of it."""


class RowWriter:
    """Writes rows by a connection whose transaction is open."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.newly_added = 0  # rows that the last call of `keyed` added
        self._mark = "?" if connection.dialect.name == "sqlite" else "%s"
        self._next: dict[str, int] = {}  # the next free id of each table

    def take_ids(self, table: Table, count: int) -> int:
        """The first of `count` fresh ids."""
        if table.name not in self._next:
            highest = self.connection.execute(select(func.max(table.c.id))).scalar()
            self._next[table.name] = (highest or 0) + 1
        first = self._next[table.name]
        self._next[table.name] += count
        return first

    def give_back_ids(self, table: Table, first: int) -> None:
        """Let ids from `first` on be given out again. None of them may have been used."""
        self._next[table.name] = first

    def insert(
        self, table: Table, rows: Sequence[Cells], columns: Sequence[str] = (), conflict: str = ""
    ) -> int:
        """Insert rows; returns how many were inserted.

        columns: names of the values of each row; none means all columns of the table. conflict: SQL that ends
        the statement. The driver's executemany is several times faster than the ORM. Raises UnstorableRow on
        a value that the database cannot hold.
        """
        if not rows:
            return 0
        named = columns or table.columns.keys()
        marks = ", ".join([self._mark] * len(named))
        statement = f"INSERT INTO {table.name} ({', '.join(named)}) VALUES ({marks}){conflict}"
        try:
            return self.connection.exec_driver_sql(statement, list(rows)).rowcount
        except UnicodeEncodeError as error:
            raise _unstorable(table, "text with a lone surrogate, which is no character") from error
        except OverflowError as error:
            raise _unstorable(table, "number beyond 64 bits") from error
        except DataError as error:
            nul = "text with a NUL character, which PostgreSQL does not store"
            other = f"value that the database refuses: {' '.join(str(error.orig).split())}"
            raise _unstorable(table, nul if "NUL" in str(error.orig) else other) from error

    def keyed(
        self,
        table: Table,
        columns: Sequence[str],
        keys: Sequence[str],
        cells: Callable[[Sequence[int]], Sequence[Cells]],
    ) -> list[int]:
        """The ids of the rows with these keys, in order; rows that are not there yet are written.

        columns: names of the columns beside `id` and `key`. cells: gives their values for the rows at some
        places in `keys`. It is called at most once, with the places of the new rows.
        """
        ids = self._known_ids(table, list(dict.fromkeys(keys)))
        places: dict[str, int] = {}
        for i, key in enumerate(keys):
            if key not in ids:
                places.setdefault(key, i)
        if places:
            new = cells(list(places.values()))
            first = self.take_ids(table, len(places))
            ids |= {key: first + i for i, key in enumerate(places)}
            rows = [(ids[key], key, *row) for key, row in zip(places, new, strict=True)]
            self.insert(table, rows, ("id", "key", *columns))
        self.newly_added = len(places)
        return [ids[key] for key in keys]

    def _known_ids(self, table: Table, keys: list[str]) -> dict[str, int]:
        """Key -> id, of those keys that the table has."""
        found: dict[str, int] = {}
        for i in range(0, len(keys), LOOKUP):
            query = select(table.c.key, table.c.id).where(table.c.key.in_(keys[i : i + LOOKUP]))
            found |= {row.key: row.id for row in self.connection.execute(query)}
        return found


def _unstorable(table: Table, what: str) -> UnstorableRow:
    remedy = "repair it where it comes from"
    return UnstorableRow(f"a row for the table {table.name} holds a {what}", remedy=remedy)
