"""Auto-J's pairwise test set: prompt, response 1, response 2, label (0 first, 1 second, 2 tie), scenario."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange.asked import RowOrigin, renamed
from db.interchange.places import rows_by
from db.interchange.rows import Entry, ReadOptions, Refusal

MARKS = frozenset({"prompt", "response 1", "response 2", "label"})
SHAPE = (("prompt",), ("response 1",), ("response 2",), ("label",))
CODES = {"0": 1.0, "1": 0.0, "2": 0.5}
COLUMNS = {
    "prompt": "prompt", "output_1": "response 1", "output_2": "response 2", "verdict": "label",
    "subset": "scenario",
}  # fmt: skip


def read(path: Path, options: ReadOptions) -> Iterator[Entry | Refusal]:
    """Stream judged pairs; the verdict is people's consensus."""
    origin = RowOrigin("autoj", "autoj-human")
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill, codes=CODES)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield renamed(row, COLUMNS)
