"""What a ledger holds, by name: imported sources."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select

from db.ledger import Ledger
from db.tables import ItemRow


class SourceItems(NamedTuple):
    """Number of items of one source and subset."""

    source: str
    subset: str | None
    items: int


def sources(ledger: Ledger) -> list[SourceItems]:
    """The imported sources and subsets, by name, with the number of their items."""
    query = (
        select(ItemRow.source, ItemRow.subset, func.count())
        .group_by(ItemRow.source, ItemRow.subset)
        .order_by(ItemRow.source, ItemRow.subset)
    )
    with ledger.reading() as connection:
        return [SourceItems(*row) for row in connection.execute(query)]
