"""The ledger's judgements as pandas frames, by question.

A question, here called a unit, is one of two things: an imported item in the orientation of its source
(several sources may number the same item), or a pair that was never imported. A judgement made here belongs
to every question that its pair is in. Only the latest attempt counts. Judgements that were taken back are
left out, and so is what a panel or a cascade left open. So are judgements that label noise spared, unless
labels are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sqlalchemy import ColumnElement, Connection, Subquery, and_, case, func, or_, select

from db.ledger import Ledger
from db.queries import attempts
from db.queries.aspects import speaks_of
from db.queries.attempts import ASKED, latest_of_sorted
from db.queries.columns import Query, chunks, numbers
from db.queries.orders import averaged_over_orders
from db.records import AnnotationStatus, AnnotatorCard
from db.tables import (
    ANNOTATION,
    ASPECT,
    CLAIM,
    CLAIM_SLOT,
    COMPLETION,
    IMPORTED,
    INSTRUCTION,
    ITEM,
    JUDGEMENT,
    OUTPUT,
    PAIR,
)

PAID = ("price", "seconds", "retries")
KINDS = {
    **attempts.KINDS,
    "silent": "int8",
    **dict.fromkeys(("preference", *PAID), "float64"),
}
"""The columns of all attempts at all judgements, and their types."""


@dataclass(frozen=True)
class Judgements:
    """What an audit reads.

    judgements: one row per judgement: unit, annotator (id), preference (P(first output of the unit
        preferred), NaN without a verdict), swapped (1: second output shown first, 0: first output shown
        first, -1: unknown), replicate, price (US dollars), seconds, retries (number of failed tries before
        the reply; NaN where nothing was asked). The last three may be left out.
    units: one row per question: unit, pair_id, instruction_id, name, source, subset, length_1 and length_2
        (characters), list_1 and list_2 (whether the output has a list), identical (equal texts), flipped (the
        first output of the unit is output_b).
    annotators: the cards of all annotators in `judgements`.
    """

    judgements: pd.DataFrame
    units: pd.DataFrame
    annotators: tuple[AnnotatorCard, ...]


def judgements(
    ledger: Ledger,
    has_list: Callable[[str], bool],
    source: str | None = None,
    subset: str | None = None,
    labels: bool = False,
    average_orders: bool = False,
    aspect: str | None = None,
    paid: bool = True,
) -> Judgements:
    """Every judgement of the questions in a source and subset; None means any.

    A question is in a source when any of its imported items is. All its judgements count, also those that
    other sources brought. has_list: tells whether a text has a list. labels: give the label, which training
    sees, in place of the preference. average_orders: see db/queries/orders.py. aspect: the verdict on this
    criterion in place of the overall one. Then only annotators that judge by it are there; a judgement that
    says nothing of it, such as a tie of identical outputs, is left out. paid: give price, seconds, retries.
    """
    with ledger.frozen(), ledger.reading() as connection:
        items = _items(connection)
        texts = _text_features(connection, has_list)
        rows = _annotations(connection, labels, aspect, paid)
        known = ledger.annotators()
    items["unit"] = items.groupby(["name", "pair_id"], sort=False).ngroup()
    units = _units(items, texts, source, subset)
    standing = _latest(rows)
    del rows
    if average_orders:
        standing = averaged_over_orders(standing, ASKED[:-1], ("preference",), PAID if paid else ())
    placed = _place(standing, items, units)
    present = set(placed["annotator"].unique())
    cards = tuple(card for card in known if card.id in present)
    return Judgements(placed, units, cards)


def _items(connection: Connection) -> pd.DataFrame:
    columns = [ITEM.c.id, ITEM.c.name, ITEM.c.pair_id, ITEM.c.flipped, ITEM.c.source, ITEM.c.subset]
    rows = connection.execute(select(*columns).order_by(ITEM.c.id)).all()
    names = ["item_id", "name", "pair_id", "flipped", "source", "subset"]
    frame = pd.DataFrame(rows, columns=names)
    return frame.astype({"item_id": "int64", "pair_id": "int64", "flipped": bool})


def _text_features(connection: Connection, has_list: Callable[[str], bool]) -> pd.DataFrame:
    """Per pair: its instruction, lengths of its texts, whether they have lists, whether they are equal."""
    a, b = OUTPUT.alias(), OUTPUT.alias()
    query = (
        select(PAIR.c.id, a.c.instruction_id, a.c.text, b.c.text)
        .join(a, a.c.id == PAIR.c.output_a_id)
        .join(b, b.c.id == PAIR.c.output_b_id)
        .order_by(PAIR.c.id)
    )
    kinds = {
        "pair_id": "int64",
        "instruction_id": "int64",
        **dict.fromkeys(("length_a", "length_b"), "int64"),
        **dict.fromkeys(("list_a", "list_b", "identical"), "bool"),
    }
    parts = [
        [(i, of, len(x), len(y), has_list(x), has_list(y), x == y) for i, of, x, y in rows]
        for rows in chunks(connection, query)
    ]
    return pd.concat([pd.DataFrame(part, columns=list(kinds)).astype(kinds) for part in parts or [[]]])


def _annotations(connection: Connection, labels: bool, aspect: str | None, paid: bool) -> pd.DataFrame:
    """Every attempt at every judgement."""
    row = ANNOTATION.c
    silent_ones = [AnnotationStatus.RETRACTED.value, AnnotationStatus.CONTESTED.value]
    silent_ones += [] if labels else [AnnotationStatus.SPARED.value]
    silent: ColumnElement[bool] = row.status.in_(silent_ones)
    said = ASPECT.c.preference if aspect else row.label if labels else row.preference
    if aspect:
        silent = or_(silent, and_(row.status == AnnotationStatus.OK.value, ASPECT.c.name.is_(None)))
    query: Query = select(*JUDGEMENT, case((silent, 1), else_=0), said).order_by(*JUDGEMENT)
    if aspect:
        judging = select(row.annotator_id).join(ASPECT, speaks_of(aspect)).distinct()
        query = query.outerjoin(ASPECT, speaks_of(aspect)).where(row.annotator_id.in_(judging))
    if paid:
        return numbers(connection, _with_paid(query), KINDS)
    return numbers(connection, query, {name: kind for name, kind in KINDS.items() if name not in PAID})


def _with_paid(query: Query) -> Query:
    """Adds the columns PAID. The pairs of one request share its price and time equally."""
    row, extra, reply, share = ANNOTATION.c, IMPORTED.c, COMPLETION.c, pairs_of_requests()
    return (
        query.add_columns(
            func.coalesce(extra.price, reply.cost / share.c.slots),
            func.coalesce(extra.seconds, reply.seconds / share.c.slots),
            reply.sendings - 1 + CLAIM.c.attempt + row.attempt,
        )
        .outerjoin(IMPORTED, extra.annotation_id == row.id)
        .outerjoin(COMPLETION, reply.claim_id == row.completion_id)
        .outerjoin(share, share.c.claim_id == row.completion_id)
        .outerjoin(CLAIM, CLAIM.c.id == row.completion_id)
    )


def pairs_of_requests() -> Subquery:
    """How many pairs each request shows: claim_id, slots. They share its price and time equally."""
    counted = select(CLAIM_SLOT.c.claim_id, func.count().label("slots")).group_by(CLAIM_SLOT.c.claim_id)
    return counted.subquery()


def _latest(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep the latest attempt at each judgement, then drop silent ones. Rows must be sorted by JUDGEMENT."""
    rows = latest_of_sorted(rows)
    return rows[rows["silent"] == 0].drop(columns=["attempt", "silent"])


def _units(items: pd.DataFrame, texts: pd.DataFrame, source: str | None, subset: str | None) -> pd.DataFrame:
    """The questions in a source and subset, each in the orientation of its first item."""
    wanted = items
    if source is not None:
        wanted = wanted[wanted["source"] == source]
    if subset is not None:
        wanted = wanted[wanted["subset"] == subset]
    first = wanted.drop_duplicates("unit")
    if source is None and subset is None:
        loose = texts.loc[~texts["pair_id"].isin(items["pair_id"]), ["pair_id"]]
        start = int(items["unit"].max()) + 1 if len(items) else 0
        loose = loose.assign(unit=np.arange(start, start + len(loose)), flipped=False)
        first = pd.concat([first, loose], ignore_index=True) if len(first) else loose
        first = first.reindex(columns=["unit", "pair_id", "name", "source", "subset", "flipped"])
    units = first[["unit", "pair_id", "name", "source", "subset", "flipped"]].merge(texts, on="pair_id")
    flipped = units["flipped"].to_numpy(dtype=bool)
    for name in ("length", "list"):
        a, b = units.pop(f"{name}_a").to_numpy(), units.pop(f"{name}_b").to_numpy()
        units[f"{name}_1"], units[f"{name}_2"] = np.where(flipped, b, a), np.where(flipped, a, b)
    return units


def _place(rows: pd.DataFrame, items: pd.DataFrame, units: pd.DataFrame) -> pd.DataFrame:
    """Give every judgement its unit and that unit's orientation.

    An imported judgement gets the unit of its item. One made here gets a row for each unit of its pair.
    """
    imported = rows[rows["item_id"] > 0].merge(items[["item_id", "unit"]], on="item_id")
    imported = imported.merge(units[["unit", "flipped"]], on="unit")
    here = rows[rows["item_id"] == 0].merge(units[["pair_id", "unit", "flipped"]], on="pair_id")
    placed = here if imported.empty else imported if here.empty else pd.concat([imported, here])
    flipped = placed["flipped"].to_numpy(dtype=bool)
    preference, swapped = placed["preference"].to_numpy(), placed["swapped"].to_numpy()
    return pd.DataFrame(
        {
            "unit": placed["unit"].to_numpy(dtype=np.int64),
            "annotator": placed["annotator"].to_numpy(),
            "preference": np.where(flipped, 1 - preference, preference),
            "swapped": np.where(flipped & (swapped >= 0), 1 - swapped, swapped).astype(np.int8),
            "replicate": placed["replicate"].to_numpy(),
            **{name: placed[name].to_numpy() for name in PAID if name in placed},
        },
        copy=False,
    )


def output_ids(ledger: Ledger) -> dict[int, tuple[int, int]]:
    """The ids of output_a and output_b of every pair, by the pair's id."""
    query = select(PAIR.c.id, PAIR.c.output_a_id, PAIR.c.output_b_id)
    return {row.id: (row.output_a_id, row.output_b_id) for row in ledger.stream(query)}


def identities(ledger: Ledger) -> pd.DataFrame:
    """The keys of every pair and its instruction, the same in every ledger: pair_id, pair, instruction."""
    query = (
        select(PAIR.c.id, PAIR.c.key, INSTRUCTION.c.key)
        .join(OUTPUT, OUTPUT.c.id == PAIR.c.output_a_id)
        .join(INSTRUCTION, INSTRUCTION.c.id == OUTPUT.c.instruction_id)
        .order_by(PAIR.c.id)
    )
    with ledger.reading() as connection:
        rows = connection.execute(query).all()
    return pd.DataFrame(rows, columns=["pair_id", "pair", "instruction"])
