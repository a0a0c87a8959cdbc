"""Argilla's preference sets: chosen_response and rejected_response, or generations with ratings.

The prompt is instruction, prompt or input. Several generations with one rating each are compared each with
each; labelling_model is the annotator, and generation_models wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin, renamed
from db.interchange.places import rows_by
from db.interchange.rows import Placed, ReadOptions
from db.records import AnnotatorKind

MARKS = (frozenset({"chosen_response", "rejected_response"}), frozenset({"generations", "rating"}))
PROMPTS = ("instruction", "prompt", "input")
SHAPE = (
    PROMPTS,
    ("chosen_response", "generations"),
    ("rejected_response", "rating"),
)
COLUMNS = {
    "chosen": "chosen_response", "rejected": "rejected_response", "model_chosen": "chosen_model",
    "model_rejected": "rejected_model", "score_chosen": "chosen_avg_rating",
    "score_rejected": "rejected_avg_rating", "subset": "source",
}  # fmt: skip
LISTED = {
    "outputs": "generations", "scores": "rating", "models": "generation_models", "system": "system",
    "annotator": "labelling_model",
}  # fmt: skip


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs."""
    origin = RowOrigin(fields.stem(path), fields.stem(path), AnnotatorKind.LLM)
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    name = next((name for name in PROMPTS if row.get(name) is not None), "instruction")
    yield renamed(row, {"prompt": name} | (LISTED if "generations" in row else COLUMNS))
