"""LLMBar's files: input, output_1, output_2, label (1 or 2, the output that is right).

The folders between Dataset and the file are the subset, such as Adversarial/Neighbor.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange.asked import RowOrigin, renamed
from db.interchange.places import rows_by
from db.interchange.rows import Entry, ReadOptions, Refusal
from db.records import AnnotatorKind

MARKS = frozenset({"input", "output_1", "output_2", "label"})
SHAPE = (("input",), ("output_1",), ("output_2",), ("label",))
CODES = {"1": 1.0, "2": 0.0}
COLUMNS = {"prompt": "input", "output_1": "output_1", "output_2": "output_2", "verdict": "label"}
OUTER = ("Dataset", "LLMBar", "Processed")  # folders that are no part of a subset's name


def read(path: Path, options: ReadOptions) -> Iterator[Entry | Refusal]:
    """Stream judged pairs; the verdict is right by construction."""

    def fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield renamed(row, COLUMNS) | {"subset": _subset(path)}

    origin = RowOrigin("llmbar", "llmbar-gold", AnnotatorKind.GOLD)
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=fill, codes=CODES)


def _subset(path: Path) -> str | None:
    folders = path.parent.parts
    if "Dataset" not in folders:
        return None
    return "/".join(folders[folders.index("Dataset") :]).removeprefix("Dataset/").removeprefix("LLMBar/")
