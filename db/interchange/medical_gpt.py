"""MedicalGPT's preferences: system, history, question, response_chosen, response_rejected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin, renamed
from db.interchange.places import rows_by
from db.interchange.rows import Placed, ReadOptions

MARKS = frozenset({"question", "response_chosen", "response_rejected"})
SHAPE = (("question",), ("response_chosen",), ("response_rejected",))
COLUMNS = {
    "prompt": "question", "system": "system", "history": "history", "chosen": "response_chosen",
    "rejected": "response_rejected",
}  # fmt: skip


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs; output_1 is the chosen response."""
    origin = RowOrigin(fields.stem(path), fields.stem(path))
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield renamed(row, COLUMNS)
