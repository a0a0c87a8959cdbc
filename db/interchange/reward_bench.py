"""Benchmarks of reward models: RewardBench, RewardBench 2 and RM-Bench.

RewardBench has one chosen and one rejected text with their models and a subset. RewardBench 2 (subset) and
RM-Bench (domain) have lists: each chosen text is compared with each rejected one, and chosen_place and
rejected_place in meta say which (in RM-Bench, the style). A list that repeats a text makes one pair of it,
with all its places (chosen_places, rejected_places). What is chosen is right by construction.
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

MARKS = frozenset({"prompt", "chosen", "rejected", "chosen_model", "rejected_model", "subset"})
LISTED = frozenset({"prompt", "chosen", "rejected"})
SHAPE = (("prompt",), ("chosen",), ("rejected",))
COLUMNS = {
    "prompt": "prompt", "chosen": "chosen", "rejected": "rejected", "subset": "subset",
    "model_chosen": "chosen_model", "model_rejected": "rejected_model", "instruction_id": "id",
}  # fmt: skip


def holds_lists(row: fields.Fields) -> bool:
    """Whether chosen and rejected are lists of texts, as in RewardBench 2 and RM-Bench."""
    return all(
        isinstance(row[side], list) and row[side] and all(isinstance(each, str) for each in row[side])
        for side in ("chosen", "rejected")
    )


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs of RewardBench."""
    return _read(path, options, "rewardbench")


def read_lists(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs of RewardBench 2 or RM-Bench, each chosen text with each rejected one."""
    return _read(path, options, fields.stem(path))


def _read(path: Path, options: ReadOptions, source: str) -> Iterator[Placed]:
    origin = RowOrigin(source, f"{source}-gold", AnnotatorKind.GOLD)
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield places_of(row)


def places_of(row: fields.Fields) -> dict[str, Any]:
    """The places that a row fills."""
    filled = renamed(row, COLUMNS)
    if filled["subset"] is None and "domain" in row:
        filled["subset"] = filled["meta"].pop("domain", None)
    models, chosen, rejected = row.get("models"), row["chosen"], row["rejected"]
    listed = all(isinstance(each, list) for each in (models, chosen, rejected))
    if listed and len(models or ()) == len(chosen) + len(rejected):
        models = filled["meta"].pop("models")
        filled |= {"model_chosen": models[: len(chosen)], "model_rejected": models[len(chosen) :]}
    return filled
