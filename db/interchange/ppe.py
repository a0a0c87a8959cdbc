"""Preference Proxy Evaluations' human preferences, version 1: votes of Chatbot Arena with texts.

prompt, response_1 (of model_a), response_2 (of model_b), winner (model_a, model_b, tie, tie (bothbad)),
language.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange.arena import CODES
from db.interchange.asked import RowOrigin, renamed
from db.interchange.places import rows_by
from db.interchange.rows import Placed, ReadOptions

MARKS = frozenset({"prompt", "response_1", "response_2", "model_a", "model_b", "winner"})
SHAPE = tuple((name,) for name in sorted(MARKS))
COLUMNS = {
    "prompt": "prompt", "output_1": "response_1", "output_2": "response_2", "verdict": "winner",
    "model_1": "model_a", "model_2": "model_b", "subset": "language", "instruction_id": "question_id",
}  # fmt: skip


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs; the voters of the arena are one annotator."""
    origin = RowOrigin("ppe", "arena-voters")
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill, codes=CODES)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield renamed(row, COLUMNS)
