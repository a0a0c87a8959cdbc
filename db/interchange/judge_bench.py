"""JudgeBench's files: question, response_A, response_B, label "A>B" or "B>A", source.

Files with the judgements of a judge have judge_name, judge_model and judgments: a decision with response_A
first, and perhaps one with response_B first. Each becomes a judgement beside the verified label.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin, renamed
from db.interchange.places import rows_by
from db.interchange.rows import Entry, ReadOptions, Refusal
from db.records import AnnotatorKind

MARKS = frozenset({"question", "response_A", "response_B", "label"})
SHAPE = (("question",), ("response_A",), ("response_B",), ("label",))
CODES = {"a>b": 1.0, "b>a": 0.0, "a=b": 0.5, "b=a": 0.5}
TURNED = {"A>B": "B>A", "B>A": "A>B"}
COLUMNS = {
    "prompt": "question", "output_1": "response_A", "output_2": "response_B", "verdict": "label",
    "subset": "source", "model_1": "response_model", "model_2": "response_model", "item": "pair_id",
}  # fmt: skip
JUDGE = ("judge_name", "judge_model", "judgments")


def read(path: Path, options: ReadOptions) -> Iterator[Entry | Refusal]:
    """Stream judged pairs: the verified label, and each decision of a judge."""
    origin = RowOrigin("judgebench", "judgebench-verified", AnnotatorKind.GOLD)
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill, codes=CODES)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    shared = renamed(fields.others(row, *JUDGE), COLUMNS)
    yield shared
    name, model = (fields.maybe_text(row, key) for key in JUDGE[:2])
    for place, judgement in enumerate(row.get("judgments") or ()):
        if not isinstance(judgement, dict):
            raise ValueError(f"judgments holds {fields.shown(judgement)}, not an object")
        said = judgement.get("decision")
        yield shared | {
            "verdict": TURNED.get(said, said) if place else said,
            "swapped": bool(place),
            "annotator": "/".join(filter(None, (model, name))) or "judge",
            "kind": "rm" if name == "reward_model" else "llm",
            "undecided": True,
        }
