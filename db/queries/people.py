"""What single people said of pairs, each judgement by itself."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from sqlalchemy import Integer, bindparam, select

from db.ledger import Ledger, PairFilter, filtered
from db.queries.attempts import ASKED, latest_attempts
from db.records import AnnotationStatus
from db.tables import ANNOTATION, ANSWERED, INSTRUCTION, JUDGEMENT, OUTPUT, PAIR


def judged_by(ledger: Ledger, annotator_ids: Sequence[int], wanted: PairFilter) -> pd.DataFrame:
    """The latest attempt of each judgement of these annotators that has a preference, in a fixed order.

    Columns: annotator (id), pair_id, pair and instruction (keys), preference (P(output_a preferred)). What
    was imported of several items is as many judgements. Pairs of equal texts are left out.
    """
    row, a, b = ANNOTATION.c, OUTPUT.alias(), OUTPUT.alias()
    these = bindparam("annotators", list(annotator_ids), Integer, expanding=True, literal_execute=True)
    query = (
        select(*ANSWERED, PAIR.c.key, INSTRUCTION.c.key, row.status, row.preference)
        .join(PAIR, PAIR.c.id == row.pair_id)
        .join(a, a.c.id == PAIR.c.output_a_id)
        .join(b, b.c.id == PAIR.c.output_b_id)
        .join(INSTRUCTION, INSTRUCTION.c.id == a.c.instruction_id)
        .where(row.annotator_id.in_(these), a.c.text != b.c.text)
        .order_by(*JUDGEMENT)
    )
    names = [*ASKED, "pair", "instruction", "status", "preference"]
    rows = pd.DataFrame(map(tuple, ledger.stream(filtered(query, wanted))), columns=names)
    latest = latest_attempts(rows)
    told = latest[latest["status"] == AnnotationStatus.OK.value].astype({"preference": float})
    return told[["annotator", "pair_id", "pair", "instruction", "preference"]].reset_index(drop=True)
