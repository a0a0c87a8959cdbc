"""Stanford Human Preferences: history, human_ref_A, human_ref_B, labels (1: A has more votes, 0: B), domain.

The scores are the votes. score_ratio and what else a row holds are kept in meta.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange.asked import RowOrigin, renamed
from db.interchange.places import rows_by
from db.interchange.rows import Placed, ReadOptions

MARKS = frozenset({"history", "human_ref_A", "human_ref_B", "labels"})
SHAPE = (("history",), ("human_ref_A",), ("human_ref_B",), ("labels",))
CODES = {"1": 1.0, "0": 0.0}
COLUMNS = {
    "prompt": "history", "output_1": "human_ref_A", "output_2": "human_ref_B", "verdict": "labels",
    "score_1": "score_A", "score_2": "score_B", "subset": "domain", "instruction_id": "post_id",
}  # fmt: skip


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs; the readers of a forum are one annotator."""
    origin = RowOrigin("shp", "shp-voters")
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill, codes=CODES)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield renamed(row, COLUMNS)
