"""UltraFeedback as it was released: instruction, completions with their models and ratings, source.

Each two completions of an instruction are compared by fine-grained_score, or by the mean of the ratings of
their aspects where there is none. Beside it they are compared by the rating of each aspect. The field
overall_score is not used: it is wrong in a part of the set. The binarized sets are read as `trl`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields, verdicts
from db.interchange.asked import RowOrigin
from db.interchange.places import rows_by
from db.interchange.rows import Placed, ReadOptions
from db.records import AnnotatorKind

MARKS = frozenset({"instruction", "completions"})
SHAPE = (("instruction",), ("completions",))
SCORE = "fine-grained_score"


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs of completions."""
    origin = RowOrigin("ultrafeedback", "gpt-4", AnnotatorKind.LLM)
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    held = row["completions"]
    if not isinstance(held, list) or not all(isinstance(each, dict) for each in held):
        raise ValueError(f"completions is {fields.shown(held)}, not a list of objects")
    yield {
        "prompt": row["instruction"],
        "outputs": [each.get("response") for each in held],
        "models": [each.get("model") for each in held],
        "scores": [_score(each) for each in held],
        "aspects": [_ratings(each) for each in held],
        "subset": row.get("source"),
        "meta": fields.others(row, "instruction", "completions", "models", "source"),
    }


def _score(completion: dict[str, Any]) -> float | None:
    if completion.get(SCORE) is not None:
        return verdicts.number_of(completion[SCORE])
    ratings = _ratings(completion).values()
    return sum(ratings) / len(ratings) if ratings else None


def _ratings(completion: dict[str, Any]) -> dict[str, float]:
    """The rating of each aspect that has one."""
    aspects = completion.get("annotations")
    given = aspects if isinstance(aspects, dict) else {}
    found = {name: verdicts.number_of(each.get("Rating")) for name, each in given.items()}
    return {name: rating for name, rating in found.items() if rating is not None}
