"""LLaMA-Factory's alpaca files: instruction, input, chosen, rejected; or instruction, input, output, kto_tag.

A system text and a history of pairs [question, answer] become turns in front of the instruction. Its sharegpt
files are read as `sharegpt`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin
from db.interchange.places import rows_by
from db.interchange.rows import Placed, ReadOptions

MARKS = (frozenset({"instruction", "chosen", "rejected"}), frozenset({"instruction", "output", "kto_tag"}))
SHAPE = (("instruction",), ("chosen", "output"), ("rejected", "kto_tag"))
KNOWN = ("instruction", "input", "system", "history", "chosen", "rejected", "output", "kto_tag")


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs, or answers that are good or bad."""
    origin = RowOrigin(fields.stem(path), fields.stem(path))
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    names = ("input", "system", "history", *(("chosen", "rejected") if "chosen" in row else ("output",)))
    filled = {name: row.get(name) for name in names}
    if "chosen" not in row:
        filled["good"] = row["kto_tag"]
    yield {"prompt": row.get("instruction"), "meta": fields.others(row, *KNOWN), **filled}
