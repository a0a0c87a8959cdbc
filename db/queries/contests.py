"""The ledger's judgements with the two models that wrote the outputs, as a pandas frame.

Rows have the canonical orientation of their pair and no texts. They stand in an order of their content, and
instructions are named by their keys, so no figure made of them depends on the order of import. Only the
latest attempt at a judgement counts, and judgements that were taken back are left out. A judgement that
several items hold, because two sources brought it, is one. Win rates and rankings of models are computed from
this frame; audits of annotators read db/queries/frames.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from sqlalchemy import Select, func, select

from db.ledger import Ledger
from db.queries.orders import averaged_over_orders
from db.records import AnnotationStatus
from db.tables import ANNOTATION, INSTRUCTION, ITEM, JUDGEMENT, MEMBERSHIP, OUTPUT, PAIR

LOOKUP = 5_000
ORDER = ("key", "swapped", "replicate", "preference", "label", "status")  # of rows: content, no ids
ASKED = ("pair_id", "annotator", "replicate", "swapped")  # what one judgement answers
COLUMNS = (
    "pair_id",
    "key",
    "instruction",
    "model_a",
    "model_b",
    "annotator",
    "replicate",
    "swapped",
    "preference",
    "label",
    "status",
)


def contests(
    ledger: Ledger, source: str | None = None, subset: str | None = None, average_orders: bool = False
) -> pd.DataFrame:
    """Every judgement of the pairs in a source and subset; None means any.

    One row per judgement: pair_id, key (the pair's), instruction (key), model_a and model_b (producers),
    annotator (id), replicate, swapped (1: output_b was shown first, 0: output_a was, -1: unknown), preference
    (P(output_a preferred), NaN without a verdict), label (the same after label noise), status. Of judgements
    that differ in their item alone there is one row with their mean.
    average_orders: see db/queries/orders.py; where one order has no verdict, the mean has its status.
    """
    row, a, b = ANNOTATION.c, OUTPUT.alias(), OUTPUT.alias()
    query = (
        select(
            row.pair_id,
            PAIR.c.key,
            INSTRUCTION.c.key,
            a.c.producer,
            b.c.producer,
            row.annotator_id,
            row.replicate,
            func.coalesce(row.swapped, -1),
            row.preference,
            row.label,
            row.status,
            func.coalesce(row.item_id, 0),
            row.attempt,
        )
        .join(PAIR, PAIR.c.id == row.pair_id)
        .join(a, a.c.id == PAIR.c.output_a_id)
        .join(b, b.c.id == PAIR.c.output_b_id)
        .join(INSTRUCTION, INSTRUCTION.c.id == a.c.instruction_id)
        .order_by(*JUDGEMENT)
    )
    if (items := _items(source, subset)) is not None:
        query = query.where(row.pair_id.in_(items))
    rows = [tuple(each) for each in ledger.stream(query)]
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "item", "attempt"])
    frame = frame.drop_duplicates([*ASKED, "item"], keep="last")
    frame = frame[frame["status"] != AnnotationStatus.RETRACTED.value]
    frame = _once(frame.astype({"preference": np.float64, "label": np.float64}))
    if average_orders:
        frame = averaged_over_orders(frame, ASKED[:-1], ("preference", "label"))
    return frame[list(COLUMNS)].sort_values(list(ORDER), kind="stable", ignore_index=True)


def contest_pairs(ledger: Ledger, source: str | None = None, subset: str | None = None) -> pd.DataFrame:
    """Every pair in a source and subset, judged or not; None means any.

    One row per pair, by key: pair_id, key, instruction (key), model_a and model_b (producers).
    """
    a, b = OUTPUT.alias(), OUTPUT.alias()
    query = (
        select(PAIR.c.id, PAIR.c.key, INSTRUCTION.c.key, a.c.producer, b.c.producer)
        .join(a, a.c.id == PAIR.c.output_a_id)
        .join(b, b.c.id == PAIR.c.output_b_id)
        .join(INSTRUCTION, INSTRUCTION.c.id == a.c.instruction_id)
        .order_by(PAIR.c.key)
    )
    if (items := _items(source, subset)) is not None:
        query = query.where(PAIR.c.id.in_(items))
    return pd.DataFrame([tuple(each) for each in ledger.stream(query)], columns=list(COLUMNS[:5]))


def _items(source: str | None, subset: str | None) -> Select[tuple[int]] | None:
    """The pairs of the items of a source and subset; None where any pair is meant."""
    if source is None and subset is None:
        return None
    items = select(ITEM.c.pair_id)
    if source is not None:
        items = items.where(ITEM.c.source == source)
    if subset is not None:
        items = items.where(ITEM.c.subset == subset)
    return items


def _once(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for the judgements of a pair that differ in their item alone, with the mean of the readable."""
    asked = list(ASKED)
    several = frame[frame.duplicated(asked, keep=False)]
    if several.empty:
        return frame
    several = several.sort_values([*asked, "preference", "label", "status"])  # the readable ones first
    means = several.groupby(asked)[["preference", "label"]].transform("mean")
    merged = several.assign(**means).drop_duplicates(asked)
    return pd.concat([frame.drop(index=several.index), merged])


def members(ledger: Ledger) -> pd.DataFrame:
    """The members of all named sets: set_name, instruction (key), name, category, meta (canonical JSON)."""
    row, key = MEMBERSHIP.c, INSTRUCTION.c.key
    query = select(row.set_name, key, row.name, row.category, row.meta).order_by(row.id)
    query = query.join(INSTRUCTION, INSTRUCTION.c.id == row.instruction_id)
    rows = [tuple(each) for each in ledger.stream(query)]
    return pd.DataFrame(rows, columns=["set_name", "instruction", "name", "category", "meta"])


def texts_of(ledger: Ledger, pair_ids: Sequence[int]) -> Iterator[tuple[int, str, str]]:
    """Stream (pair_id, text of output_a, text of output_b)."""
    a, b = OUTPUT.alias(), OUTPUT.alias()
    for at in range(0, len(pair_ids), LOOKUP):
        query = (
            select(PAIR.c.id, a.c.text, b.c.text)
            .join(a, a.c.id == PAIR.c.output_a_id)
            .join(b, b.c.id == PAIR.c.output_b_id)
            .where(PAIR.c.id.in_([int(each) for each in pair_ids[at : at + LOOKUP]]))
        )
        yield from ledger.stream(query)
