"""Which model answered for each judgement, by the name in its reply, where an annotator had several."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import func, select

from db.ledger import Ledger
from db.queries.attempts import ASKED, latest_attempts
from db.records import AnnotationStatus
from db.tables import ANNOTATION, ANSWERED, COMPLETION

COLUMNS = [*ASKED, "preference", "status", "model", "claim"]


def answering_models(ledger: Ledger) -> pd.DataFrame:
    """The latest attempt at each judgement of the annotators for which several models answered.

    Columns: pair_id, annotator (id), item_id, replicate, swapped (1, 0, or -1 where the order is unknown),
    preference (P(output_a preferred)), model (the name in the reply) and claim (rises with time). Only
    judgements with a verdict are there, by claim.
    """
    row, reply = ANNOTATION.c, COMPLETION.c
    answered = (
        select(row.annotator_id)
        .join(COMPLETION, reply.claim_id == row.completion_id)
        .group_by(row.annotator_id)
        .having(func.count(reply.model.distinct()) > 1)
    )
    several = [one for (one,) in ledger.stream(answered)]
    query = (
        select(*ANSWERED, row.preference, row.status, reply.model, row.completion_id)
        .outerjoin(COMPLETION, reply.claim_id == row.completion_id)
        .where(row.annotator_id.in_(several))
        .order_by(row.attempt, row.id)
    )
    rows = [tuple(each) for each in ledger.stream(query)]
    found = latest_attempts(pd.DataFrame(rows, columns=COLUMNS))
    found = found[found["status"] == AnnotationStatus.OK.value].dropna(subset=["model", "preference"])
    return found.drop(columns="status").sort_values(["claim", "pair_id"], ignore_index=True)
