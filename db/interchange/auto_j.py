"""Auto-J's pairwise test set: prompt, response 1, response 2, label (0 first, 1 second, 2 tie), scenario.

A judge's file has one object {"output": label} for each row of the test set, which stands in the same folder
or in the folder `test` beside it. Where the file's name holds "exchange", response 2 was shown first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from db.errors import FormatError
from db.interchange import fields
from db.interchange.asked import RowOrigin, renamed
from db.interchange.files import objects, readable_objects
from db.interchange.places import placed_rows, rows_by
from db.interchange.rows import Numbered, Placed, ReadOptions
from db.records import AnnotatorKind

MARKS = frozenset({"prompt", "response 1", "response 2", "label"})
SHAPE = (("prompt",), ("response 1",), ("response 2",), ("label",))
JUDGED = {"output"}
EXCHANGED = {0: 1, 1: 0}
CODES = {"0": 1.0, "1": 0.0, "2": 0.5}
COLUMNS = {
    "prompt": "prompt", "output_1": "response 1", "output_2": "response 2", "verdict": "label",
    "subset": "scenario", "swapped": "swapped",
}  # fmt: skip


def fits(row: fields.Fields) -> bool:
    """Whether a row is of the test set, or a judge's label."""
    return row.keys() >= MARKS or (row.keys() == JUDGED and str(row["output"]) in CODES)


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs; the verdict is people's consensus, or a judge's."""
    if next(readable_objects(path))[1].keys() == JUDGED:
        exchanged = "exchange" in path.name
        name = fields.stem(path).replace("exchange_", "").replace("_exchange", "")
        judge = RowOrigin("autoj", name, AnnotatorKind.LLM)
        rows = _judged(path, exchanged)
        return placed_rows(path, rows, options, shape=SHAPE, origin=judge, fill=_fill, codes=CODES)
    origin = RowOrigin("autoj", "autoj-human")
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill, codes=CODES)


def _judged(path: Path, exchanged: bool) -> Iterator[Numbered]:
    """A judge's labels with the rows of the test set that they are about, in the set's own order."""
    labels, (other, asked) = list(objects(path)), _test_set(path)
    if len(labels) != len(asked):
        raise FormatError(
            f"{len(labels):,} labels are not of the {len(asked):,} rows of {other}", where=str(path)
        )
    for (number, said), row in zip(labels, asked, strict=True):
        label = EXCHANGED.get(said["output"], said["output"]) if exchanged else said["output"]
        yield number, row | {"label": label, "swapped": exchanged}


def _test_set(path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """The test set beside a judge's file. Raises FormatError where there is none."""
    for folder in (path.parent, path.parent.parent / "test"):
        for other in sorted(folder.glob("*.json*")) if folder.is_dir() else ():
            with suppress(FormatError):
                rows = [row for _, row in objects(other)] if other != path else []
                if rows and rows[0].keys() >= MARKS:
                    return other, rows
    raise FormatError(
        "these labels have no texts",
        where=str(path),
        remedy="put the test set (prompt, response 1, response 2) into the same folder",
    )


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield renamed(row, COLUMNS)
