"""BiGGen-Bench's judged responses: an object of id -> row, or the rows alone.

A row has system_prompt, input, reference_answer, response, response_model_name, and a judge's score from 1 to
5 with its feedback and eval_model_name. Each score is a rating, and the reference answer a demonstration of
the set `biggen`. The subset is the capability.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin
from db.interchange.files import file_rows
from db.interchange.places import placed_rows
from db.interchange.rows import Numbered, Placed, ReadOptions, Refusal
from db.records import AnnotatorKind

MARKS = frozenset({"input", "response", "response_model_name", "score", "eval_model_name", "score_rubric"})
SHAPE = tuple((name,) for name in sorted(MARKS))
KNOWN = (*MARKS, "id", "capability", "system_prompt", "reference_answer", "instance_idx")
LOWEST, HIGHEST = 1, 5


def fits(row: fields.Fields) -> bool:
    """Whether an object is a row, or holds rows."""
    first = next(iter(row.values()), None)
    return row.keys() >= MARKS or (isinstance(first, Mapping) and first.keys() >= MARKS)


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream ratings, and the reference answers."""
    origin = RowOrigin("biggen", "biggen-judge", AnnotatorKind.LLM)
    rows = _members(path)
    return placed_rows(path, rows, options, shape=SHAPE, origin=origin, fill=_fill)


def _members(path: Path) -> Iterator[Numbered | Refusal]:
    """The rows of a file; those of an object are numbered from 1."""
    for row in file_rows(path):
        if isinstance(row, Refusal) or row[1].keys() >= MARKS or not fits(row[1]):
            yield row
            continue
        for number, (name, each) in enumerate(row[1].items(), 1):
            is_object = isinstance(each, dict)
            yield (
                (number, each) if is_object else Refusal(number, f"{name} is {fields.shown(each)}, not a row")
            )


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    score = fields.number_of(row.get("score"))
    if score is None:
        raise ValueError(f"score is {fields.shown(row.get('score'))}, not {LOWEST} to {HIGHEST}")
    asked = {
        "prompt": row["input"],
        "system": row.get("system_prompt"),
        "subset": row.get("capability"),
        "instruction_id": row.get("id"),
    }
    yield asked | {
        "output": row["response"],
        "model": row["response_model_name"],
        "annotator": row["eval_model_name"],
        "label": (score - LOWEST) / (HIGHEST - LOWEST),
        "raw": score,
        "meta": fields.others(row, *KNOWN),
    }
    yield asked | {"reference": row.get("reference_answer")}
