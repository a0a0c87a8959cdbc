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
from sqlalchemy import Select, case, select

from db.ledger import Ledger
from db.queries import attempts
from db.queries.attempts import latest_of_sorted
from db.queries.columns import numbers, texts
from db.queries.orders import averaged_over_orders
from db.records import AnnotationStatus
from db.tables import ANNOTATION, INSTRUCTION, ITEM, JUDGEMENT, MEMBERSHIP, OUTPUT, PAIR

LOOKUP = 5_000
ORDER = ("swapped", "replicate", "preference", "label", "status")  # of a pair's rows: content, no ids
ASKED = ("pair_id", "annotator", "replicate", "swapped")  # what one judgement answers
STATUSES = tuple(sorted(each.value for each in AnnotationStatus))
KINDS = {
    **attempts.KINDS,
    "preference": "float64",
    "label": "float64",
    "status": "int8",
}
"""The columns of all attempts at all judgements, and their types."""
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
    with ledger.frozen():
        told, pairs = told_of_pairs(ledger, source, subset), contest_pairs(ledger, source, subset)
    return contested(told, pairs, average_orders)


def told_of_pairs(ledger: Ledger, source: str | None = None, subset: str | None = None) -> pd.DataFrame:
    """What was said of the pairs in a source and subset, in numbers alone; None means any.

    The rows and columns are those of `contests` without the pairs' own and before anything is averaged, and
    item_id (0 where there is none). status: the place of the status in `STATUSES`.
    """
    row = ANNOTATION.c
    status = case({each: place for place, each in enumerate(STATUSES)}, value=row.status)
    query = select(*JUDGEMENT, row.preference, row.label, status).order_by(*JUDGEMENT)
    if (items := _items(source, subset)) is not None:
        query = query.where(row.pair_id.in_(items))
    with ledger.reading() as connection:
        told = latest_of_sorted(numbers(connection, query, KINDS))
    return told[told["status"] != STATUSES.index(AnnotationStatus.RETRACTED.value)].drop(columns="attempt")


def contested(told: pd.DataFrame, pairs: pd.DataFrame, average_orders: bool = False) -> pd.DataFrame:
    """Give judgements their pairs, in the order of their content: the frame of `contests`.

    told: some of the rows of `told_of_pairs`. pairs: as `contest_pairs` gives them; judgements of others are
    left out.
    """
    order = np.argsort(pairs["pair_id"].to_numpy(np.int64), kind="stable")
    ids = pairs["pair_id"].to_numpy(np.int64)[order]
    told = _once(told[np.isin(told["pair_id"], ids)])
    if average_orders:
        told = averaged_over_orders(told, ASKED[:-1], ("preference", "label"))
    place = order[np.searchsorted(ids, told["pair_id"])]
    sort = np.lexsort([*(told[name].to_numpy() for name in reversed(ORDER)), place])
    place, told = place[sort], told.iloc[sort].reset_index(drop=True)
    told["status"] = np.array(STATUSES, object)[told["status"]]
    found = pairs.iloc[place].drop(columns="pair_id").reset_index(drop=True)
    return pd.concat([told, found], axis=1)[list(COLUMNS)]


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
    )
    if (items := _items(source, subset)) is not None:
        query = query.where(PAIR.c.id.in_(items))
    with ledger.reading() as connection:
        found = texts(connection, query, COLUMNS[:5])
    return found.sort_values("key", kind="stable", ignore_index=True)


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
    if not frame["item_id"].any():
        return frame
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
