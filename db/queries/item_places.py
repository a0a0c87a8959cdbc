"""Which output of which list an imported item compares, as a pandas frame."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd
from sqlalchemy import select

from db.ledger import Ledger
from db.tables import ANNOTATION, IMPORTED, ITEM

SIDES = ("chosen", "rejected")


def item_places(ledger: Ledger, source: str) -> pd.DataFrame:
    """The items of a source, one row for each name and pair.

    Columns: name, pair_id, ref (the source's own name for the instruction, or None), chosen and rejected
    (the places of both outputs in the lists of their row, from 0; several where the list repeats a text, 0
    alone where there was no list).
    """
    query = (
        select(ITEM.c.name, ITEM.c.pair_id, ITEM.c.instruction_ref, IMPORTED.c.meta)
        .outerjoin(ANNOTATION, ANNOTATION.c.item_id == ITEM.c.id)
        .outerjoin(IMPORTED, IMPORTED.c.annotation_id == ANNOTATION.c.id)
        .where(ITEM.c.source == source)
        .order_by(ITEM.c.id, ANNOTATION.c.id)
    )
    found: dict[tuple[str, int], dict[str, object]] = {}
    for name, pair, ref, meta in ledger.stream(query):
        row = found.setdefault((name, pair), {"name": name, "pair_id": pair, "ref": ref})
        told = json.loads(meta) if meta and "_place" in meta else {}
        if all(f"{side}_place" in told for side in SIDES):
            row |= {side: _places(told, side) for side in SIDES}
    columns = ["name", "pair_id", "ref", *SIDES]
    rows = [[row.get(name, (0,)) for name in columns] for row in found.values()]
    return pd.DataFrame(rows, columns=columns).astype({"pair_id": "int64"})


def _places(meta: dict[str, object], side: str) -> tuple[int, ...]:
    several = meta.get(f"{side}_places")
    listed: Sequence[object] = several if isinstance(several, list) else [meta[f"{side}_place"]]
    return tuple(int(str(each)) for each in listed)
