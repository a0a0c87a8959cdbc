"""What a ledger holds, by name: imported sources, and the names of each kind."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select

from db.known_names import QUERIES
from db.ledger import Ledger
from db.tables import ITEM


class SourceItems(NamedTuple):
    """Number of items of one source and subset."""

    source: str
    subset: str | None
    items: int


def sources(ledger: Ledger) -> list[SourceItems]:
    """The imported sources and subsets, by name, with the number of their items."""
    query = (
        select(ITEM.c.source, ITEM.c.subset, func.count())
        .group_by(ITEM.c.source, ITEM.c.subset)
        .order_by(ITEM.c.source, ITEM.c.subset)
    )
    with ledger.reading() as connection:
        return [SourceItems(*row) for row in connection.execute(query)]


def names_of(ledger: Ledger, kind: str) -> set[str]:
    """The names of one kind of `db.known_names.QUERIES`, such as "set" or "producer"."""
    with ledger.reading() as connection:
        return {str(name) for (name,) in connection.exec_driver_sql(QUERIES[kind])}
