"""The scores that annotators gave to both outputs of a pair, as a pandas frame."""

from __future__ import annotations

import json

import pandas as pd
from sqlalchemy import select

from db.ledger import Ledger
from db.records import AnnotatorKind
from db.tables import ANNOTATION, ANNOTATOR, COMPLETION, IMPORTED, ITEM


def output_scores(ledger: Ledger, source: str) -> pd.DataFrame:
    """Scores of the pairs of a source: those that were imported, and those of reward models' replies.

    Columns: annotator (id), pair_id, score_a, score_b. The latest judgement of a pair counts.
    """
    row = ANNOTATION.c
    imported = (
        select(row.annotator_id, row.pair_id, ITEM.c.flipped, IMPORTED.c.scores)
        .join(IMPORTED, IMPORTED.c.annotation_id == row.id)
        .join(ITEM, ITEM.c.id == row.item_id)
        .where(ITEM.c.source == source, IMPORTED.c.scores.is_not(None))
        .order_by(row.attempt, row.id)
    )
    replied = (
        select(row.annotator_id, row.pair_id, row.swapped, COMPLETION.c.text)
        .join(ANNOTATOR, ANNOTATOR.c.id == row.annotator_id)
        .join(COMPLETION, COMPLETION.c.claim_id == row.completion_id)
        .where(
            ANNOTATOR.c.kind == AnnotatorKind.REWARD_MODEL.value,
            row.preference.is_not(None),
            row.pair_id.in_(select(ITEM.c.pair_id).where(ITEM.c.source == source)),
        )
        .order_by(row.attempt, row.id)
    )
    found = {}
    for query in (imported, replied):
        for annotator, pair, turned, text in ledger.stream(query):
            said = json.loads(text)  # [first, second], or {"scores": [first, second]} of a reply
            first, second = said["scores"] if isinstance(said, dict) else said
            if first is not None and second is not None:
                found[annotator, pair] = (second, first) if turned else (first, second)
    rows = [(*who, *scores) for who, scores in found.items()]
    columns = {"annotator": "int64", "pair_id": "int64", "score_a": "float64", "score_b": "float64"}
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)
