"""Battles of two models with a winner: Chatbot Arena's, and MT-Bench's by people.

With texts: conversation_a, conversation_b. The turns that both share are the prompt. `turn` says how many of
the user's turns were judged. `judge` is the annotator; a judge whose name begins with gpt is a model.
Without texts (model_a, model_b, winner alone), each battle is kept under an instruction of its own, so that
leaderboards can be made of them; nothing can be trained or judged on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin
from db.interchange.places import rows_by
from db.interchange.rows import Entry, ReadOptions, Refusal
from db.interchange.turns import Turns, apart, turns

MARKS = frozenset({"model_a", "model_b", "winner", "conversation_a", "conversation_b"})
BATTLES = frozenset({"model_a", "model_b", "winner"})
SHAPE = (("model_a",), ("model_b",), ("winner",), ("conversation_a",), ("conversation_b",))
CODES = {"model_a": 1.0, "model_b": 0.0} | dict.fromkeys(
    ("tie", "tie (bothbad)", "tie (both bad)", "bothbad", "both_bad"), 0.5
)
KNOWN = ("model_a", "model_b", "winner", "judge", "conversation_a", "conversation_b", "question_id", "subset")


def read(path: Path, options: ReadOptions) -> Iterator[Entry | Refusal]:
    """Stream judged pairs of battles with texts."""
    origin = RowOrigin("arena", "arena")
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill, codes=CODES)


def read_battles(path: Path, options: ReadOptions) -> Iterator[Entry | Refusal]:
    """Stream battles without texts."""
    origin, row_number = RowOrigin(fields.stem(path), "arena"), iter(range(1, 1 << 62))

    def fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield _shared(row) | {"row": next(row_number)}

    return rows_by(path, options, shape=SHAPE[:3], origin=origin, fill=fill, codes=CODES)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    said = [
        _judged(turns(row[f"conversation_{side}"], f"conversation_{side}"), row.get("turn")) for side in "ab"
    ]
    prompt, (first, second) = apart(None, said)
    texts = {"prompt": prompt, "output_1": first, "output_2": second}
    yield _shared(row) | {name: _messages(each) for name, each in texts.items()}


def _shared(row: dict[str, Any]) -> dict[str, Any]:
    judge = fields.maybe_text(row, "judge")
    return {
        "model_1": row.get("model_a"),
        "model_2": row.get("model_b"),
        "verdict": row.get("winner"),
        "annotator": judge,
        "kind": "llm" if (judge or "").lower().startswith("gpt") else None,
        "subset": row.get("subset"),
        "instruction_id": row.get("question_id"),
        "meta": fields.others(row, *KNOWN),
    }


def _judged(said: Turns, count: object) -> Turns:
    """The turns up to the answer to the user's turn of this number; all where no number is given."""
    if not fields.is_number(count):
        return said
    users = 0
    for place, (role, _) in enumerate(said):
        users += role == "user"
        if users > count:
            return said[:place]
    return said


def _messages(said: Turns) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in said]
