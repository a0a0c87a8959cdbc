"""Reads many rows as arrays, one a column, in little memory: no object stays of a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection, Select

CHUNK = 20_000  # rows fetched at a time
CURSORS = count()  # so that each has a name of its own; the end of the transaction closes what is left

Query = Select[*tuple[Any, ...]]


def chunks(connection: Connection, query: Query) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of a query as the driver's tuples, in lists of CHUNK. SQLAlchemy's rows take twice as long."""
    statement = str(query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
    if connection.dialect.name == "postgresql":  # whose driver holds all rows of a query without a cursor
        name = f"chunks_{next(CURSORS)}"
        connection.exec_driver_sql(f"DECLARE {name} NO SCROLL CURSOR FOR {statement}")
        while rows := _driver(connection, f"FETCH {CHUNK} FROM {name}").fetchall():
            yield rows
        connection.exec_driver_sql(f"CLOSE {name}")
        return
    cursor = _driver(connection, statement)
    while rows := cursor.fetchmany(CHUNK):
        yield rows


def _driver(connection: Connection, statement: str) -> Any:
    """The driver's own cursor, on which a statement was executed."""
    return connection.exec_driver_sql(statement).cursor


def numbers(connection: Connection, query: Query, kinds: Mapping[str, str]) -> pd.DataFrame:
    """The numbers that a query gives, as a frame of narrow columns; NULL is NaN.

    kinds: the numpy type of each column, by its name and in the order of the query.
    """
    parts: dict[str, list[NDArray[Any]]] = {name: [np.empty(0, kind)] for name, kind in kinds.items()}
    for rows in chunks(connection, query):
        for (name, kind), column in zip(kinds.items(), zip(*rows, strict=True), strict=True):
            parts[name].append(np.array(column, dtype=kind))
    return pd.DataFrame({name: np.concatenate(parts.pop(name)) for name in kinds}, copy=False)


def texts(connection: Connection, query: Query, names: Sequence[str]) -> pd.DataFrame:
    """The rows of a query as a frame, in which texts take their own bytes and little more."""
    parts = [pd.DataFrame(rows, columns=list(names)) for rows in chunks(connection, query)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(names))
