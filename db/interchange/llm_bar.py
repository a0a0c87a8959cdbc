"""LLMBar's files: input, output_1, output_2, label (1 or 2, the output that is right).

The folders between Dataset and the file are the subset, such as Adversarial/Neighbor. A result.json of a
judge (in evaluators/JUDGE/STRATEGY) has its winner in both orders too, by the outputs' own numbers,
and scores where there are any. Of several passes the last one counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields, verdicts
from db.interchange.asked import RowOrigin, renamed
from db.interchange.places import rows_by
from db.interchange.rows import Placed, ReadOptions
from db.records import AnnotatorKind

MARKS = frozenset({"input", "output_1", "output_2", "label"})
SHAPE = (("input",), ("output_1",), ("output_2",), ("label",))
CODES = {"1": 1.0, "2": 0.0}
COLUMNS = {"prompt": "input", "output_1": "output_1", "output_2": "output_2", "verdict": "label"}


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs; the verdict is right by construction."""

    subset, judge = _names(path)

    def fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        shared = renamed(fields.others(row, "results"), COLUMNS) | {"subset": subset}
        yield shared
        results = [each for each in row.get("results") or () if isinstance(each, dict)]
        yield from (shared | each for each in _judgements(results[-1], judge)) if results else ()

    origin = RowOrigin("llmbar", "llmbar-gold", AnnotatorKind.GOLD)
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=fill, codes=CODES)


def _names(path: Path) -> tuple[str | None, str]:
    """The subset and the judge that a file's folders name."""
    folders = path.parent.as_posix().rpartition("Dataset/")[2] if "Dataset" in path.parts else ""
    subset, _, judge = folders.removeprefix("LLMBar/").partition("/evaluators/")
    return subset or None, judge or "judge"


def _judgements(result: dict[str, Any], judge: str) -> Iterator[dict[str, Any]]:
    """A judge's winner in each order."""
    for swapped in (False, True):
        game = result.get(f"swap = {swapped}")
        if not isinstance(game, dict):
            continue
        said, winner = game.get("completion"), str(game.get("winner"))
        yield {
            "verdict": winner if winner in CODES else None,
            "swapped": swapped,
            "reply": said[0] if isinstance(said, list) and said else None,
            "score_1": _score(result, "score_1"),
            "score_2": _score(result, "score_2"),
            "annotator": judge,
            "kind": "llm",
            "undecided": True,
        }


def _score(result: dict[str, Any], name: str) -> float | None:
    said = result.get(name)
    return verdicts.number_of(said[0]) if isinstance(said, list) and said else None
