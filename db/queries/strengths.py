"""How much better judgements find the preferred output, where they say it, as a pandas frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sqlalchemy import select

from db.ledger import Ledger
from db.queries.attempts import ASKED, latest_attempts
from db.queries.columns import numbers
from db.tables import ANNOTATION, ANSWERED, OUTPUT, PAIR, STRENGTH

KINDS = {
    **dict.fromkeys(ASKED, "int64"),
    **dict.fromkeys(("preference", "steps", "levels"), "float64"),
    "instruction_id": "int64",
}
"""The columns of all attempts at all judgements, and their types."""


def strengths(ledger: Ledger) -> pd.DataFrame:
    """The latest attempt at each judgement, where it has a strength.

    Columns: pair_id, instruction_id, annotator (id), steps, levels, lead (steps / levels, above 0 where
    output_a is preferred, below 0 where output_b is).
    """
    row = ANNOTATION.c
    kept = select(STRENGTH.c.annotation_id)
    saying = [one for (one,) in ledger.stream(select(row.annotator_id).where(row.id.in_(kept)).distinct())]
    query = (
        select(
            *ANSWERED,
            row.preference,
            STRENGTH.c.steps,
            STRENGTH.c.levels,
            OUTPUT.c.instruction_id,
        )
        .join(PAIR, PAIR.c.id == row.pair_id)
        .join(OUTPUT, OUTPUT.c.id == PAIR.c.output_a_id)
        .outerjoin(STRENGTH, STRENGTH.c.annotation_id == row.id)
        .where(row.annotator_id.in_(saying))
        .order_by(row.attempt, row.id)
    )
    with ledger.reading() as connection:
        found = latest_attempts(numbers(connection, query, KINDS))
    found = found.dropna(subset=["steps", "preference"]).astype({"steps": "int64", "levels": "int64"})
    side = np.sign(found["preference"].to_numpy(float) - 0.5)
    found["lead"] = side * found["steps"].to_numpy(float) / found["levels"].to_numpy(float)
    return found[["pair_id", "instruction_id", "annotator", "steps", "levels", "lead"]]
