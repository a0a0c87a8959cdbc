"""OpenAI's preference fine-tuning: input.messages, preferred_output, non_preferred_output.

Each of the three holds messages. Tools that the input names are kept in meta.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin
from db.interchange.places import rows_by
from db.interchange.rows import Placed, ReadOptions

MARKS = frozenset({"input", "preferred_output", "non_preferred_output"})
SHAPE = (("input",), ("preferred_output",), ("non_preferred_output",))
KNOWN = ("input", "preferred_output", "non_preferred_output")


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs; output_1 is the preferred output."""
    origin = RowOrigin(fields.stem(path), fields.stem(path))
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    asked = {"messages": row["input"]} if isinstance(row["input"], list) else row["input"]
    if not isinstance(asked, dict) or "messages" not in asked:
        raise ValueError(f"input is {fields.shown(asked)}, without messages")
    yield {
        "prompt": asked["messages"],
        "chosen": row.get("preferred_output"),
        "rejected": row.get("non_preferred_output"),
        "meta": fields.others(row, *KNOWN) | fields.others(asked, "messages"),
    }
