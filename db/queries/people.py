"""What single people said of pairs, each judgement by itself."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from sqlalchemy import Integer, bindparam, func, select

from db.ledger import Ledger, PairFilter, filtered
from db.records import AnnotationStatus
from db.tables import ANNOTATION, INSTRUCTION, JUDGEMENT, OUTPUT, PAIR


def judged_by(ledger: Ledger, annotator_ids: Sequence[int], wanted: PairFilter) -> pd.DataFrame:
    """The latest attempt of each judgement of these annotators that has a preference, in a fixed order.

    Columns: annotator (id), pair_id, pair and instruction (keys), preference (P(output_a preferred)). What
    was imported of several items is as many judgements. Pairs of equal texts are left out.
    """
    row, a, b = ANNOTATION.c, OUTPUT.alias(), OUTPUT.alias()
    these = bindparam("annotators", list(annotator_ids), Integer, expanding=True, literal_execute=True)
    asked = (func.coalesce(row.item_id, 0), row.replicate, func.coalesce(row.swapped, -1))
    keys = (PAIR.c.key, INSTRUCTION.c.key)
    query = (
        select(row.annotator_id, row.pair_id, *asked, *keys, row.status, row.preference)
        .join(PAIR, PAIR.c.id == row.pair_id)
        .join(a, a.c.id == PAIR.c.output_a_id)
        .join(b, b.c.id == PAIR.c.output_b_id)
        .join(INSTRUCTION, INSTRUCTION.c.id == a.c.instruction_id)
        .where(row.annotator_id.in_(these), a.c.text != b.c.text)
        .order_by(*JUDGEMENT)
    )
    names = ["annotator", "pair_id", "item", "replicate", "swapped", "pair", "instruction", "status"]
    rows = pd.DataFrame(map(tuple, ledger.stream(filtered(query, wanted))), columns=[*names, "preference"])
    latest = rows.drop_duplicates(["pair_id", "annotator", "item", "replicate", "swapped"], keep="last")
    told = latest[latest["status"] == AnnotationStatus.OK.value].astype({"preference": float})
    return told[["annotator", "pair_id", "pair", "instruction", "preference"]].reset_index(drop=True)
