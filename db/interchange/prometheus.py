"""Prometheus' files: its preference and feedback collections, and its evaluation sets with rubric prompts.

Pairs: orig_instruction, orig_response_A, orig_response_B, orig_preference (A or B). Scores: orig_instruction,
orig_response, orig_score; or an instruction that holds "###The instruction to evaluate" and "###Response to
evaluate" beside gpt4_score. The responses to one instruction are compared by their mean scores. The HHH set
has two such prompts a row, chosen_instruction and rejected_instruction, and its part in `source`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import verdicts
from db.interchange.asked import RowOrigin, renamed
from db.interchange.fields import require_shape
from db.interchange.files import readable_objects
from db.interchange.places import rows_by
from db.interchange.rows import Placed, ReadOptions
from db.interchange.table import rows_by_group
from db.records import AnnotatorKind

PAIRS = frozenset({"orig_instruction", "orig_response_A", "orig_response_B", "orig_preference"})
MARKS = (
    PAIRS,
    frozenset({"orig_instruction", "orig_response", "orig_score"}),
    frozenset({"instruction", "gpt4_score", "gpt4_feedback"}),
    frozenset({"source", "chosen_instruction", "rejected_instruction"}),
)
SHAPE = (("orig_instruction", "instruction"), ("orig_preference", "orig_score", "gpt4_score"))
HHH = (("chosen_instruction",), ("rejected_instruction",))
CODES = {"a": 1.0, "b": 0.0}
COLUMNS = {
    "prompt": "orig_instruction", "output_1": "orig_response_A", "output_2": "orig_response_B",
    "verdict": "orig_preference",
}  # fmt: skip
COLUMNS_SCORED = {"prompt": "orig_instruction", "output": "orig_response", "score": "orig_score"}
ASKED = re.compile(
    r"###The instruction to evaluate:\s*\n(.*?)\n+###Response to evaluate:\s*\n(.*?)\n+"
    r"###(?:Reference Answer|Score Rubrics)",
    re.DOTALL,
)


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs, or responses compared by their scores."""
    origin = RowOrigin("prometheus", "gpt-4", AnnotatorKind.LLM)
    first = next(readable_objects(path), (0, {}))[1]
    if first.keys() >= PAIRS:
        return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill, codes=CODES)
    if "chosen_instruction" in first:
        gold = RowOrigin("hhh_alignment", "hhh-gold", AnnotatorKind.GOLD)
        return rows_by(path, options, shape=HHH, origin=gold, fill=_fill_hhh)
    require_shape(path, 1, first, SHAPE)
    return rows_by_group(path, options, origin=origin, columns=COLUMNS_SCORED, unpack=_unpacked)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield renamed(row, COLUMNS)


def _fill_hhh(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    (prompt, chosen), (other, rejected) = (
        _asked(row, f"{side}_instruction") for side in ("chosen", "rejected")
    )
    if prompt != other:
        raise ValueError("chosen_instruction and rejected_instruction ask differently")
    yield {"prompt": prompt, "chosen": chosen, "rejected": rejected, "subset": row.get("source")}


def _asked(row: dict[str, Any], name: str) -> tuple[str, str]:
    """The instruction and the response to evaluate that a prompt holds."""
    found = ASKED.search(str(row.get(name)))
    if found is None:
        raise ValueError(f"{name} holds no response to evaluate")
    return found[1], found[2]


def _unpacked(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its instruction, response and mean score in fields of their own."""
    if "orig_instruction" in row:
        return row
    asked, response = _asked(row, "instruction")
    scores = row["gpt4_score"] if isinstance(row["gpt4_score"], list) else [row["gpt4_score"]]
    numbers = [number for each in scores if (number := verdicts.number_of(each)) is not None]
    return {
        "orig_instruction": asked,
        "orig_response": response,
        "orig_score": sum(numbers) / len(numbers) if numbers else None,
        "model": row.get("response_source"),
        "subset": row.get("category"),
    }
