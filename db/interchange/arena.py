"""Battles of two models with a winner: Chatbot Arena's, and MT-Bench's by people.

With texts: conversation_a, conversation_b. The turns that both share are the prompt. `turn` says how many of
the user's turns were judged. `judge` is the annotator; a judge whose name begins with gpt is a model.
The CSV (prompt, response_a, response_b, winner_model_a, winner_model_b, winner_tie) holds JSON in its cells.
Without texts (model_a, model_b, winner alone), each battle is kept under an instruction of its own, so that
leaderboards can be made of them; nothing can be trained or judged on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields, verdicts
from db.interchange.asked import RowOrigin
from db.interchange.places import rows_by
from db.interchange.rows import Placed, ReadOptions
from db.interchange.turns import Said, Turns, apart, messages, turns

MARKS = frozenset({"model_a", "model_b", "winner", "conversation_a", "conversation_b"})
BATTLES = frozenset({"model_a", "model_b", "winner"})
CSV = frozenset({"prompt", "response_a", "response_b", "winner_model_a", "winner_model_b"})
SHAPE = (("model_a",), ("model_b",), ("winner",), ("conversation_a",), ("conversation_b",))
CODES = {"model_a": 1.0, "model_b": 0.0} | dict.fromkeys(
    ("tie", "tie (bothbad)", "tie (both bad)", "bothbad", "both_bad"), 0.5
)
WON = {"winner_model_a": "model_a", "winner_model_b": "model_b", "winner_tie": "tie"}
KNOWN = ("model_a", "model_b", "winner", "judge", "conversation_a", "conversation_b", "question_id", "subset")


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs of battles with texts."""
    origin = RowOrigin("arena", "arena")
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill, codes=CODES)


def read_battles(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream battles without texts."""
    origin, row_number = RowOrigin(fields.stem(path), "arena"), iter(range(1, 1 << 62))

    def fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield _shared(row) | {"row": next(row_number)}

    return rows_by(path, options, shape=SHAPE[:3], origin=origin, fill=fill, codes=CODES)


def read_csv(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs of the CSV whose cells hold lists of prompts and responses as JSON."""
    shape = tuple((name,) for name in CSV)
    origin = RowOrigin("arena", "arena")
    return rows_by(path, options, shape=shape, origin=origin, fill=_fill_cells, codes=CODES)


def _fill_cells(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    names = ("prompt", "response_a", "response_b")
    asked, *answers = (_cell(row[name], name) for name in names)
    said = []
    for name, found in zip(names[1:], answers, strict=True):
        if len(found) != len(asked):
            raise ValueError(f"{name} has {len(found)} turns, and prompt has {len(asked)}")
        pairs = zip(asked, found, strict=True)
        said.append([turn for one, other in pairs for turn in (Said("user", one), Said("assistant", other))])
    prompt, (first, second) = apart(None, said)
    won = [winner for column, winner in WON.items() if verdicts.plain(row.get(column)) in ("1", "true")]
    if len(won) != 1:
        raise ValueError(f"{' '.join(WON)} name {len(won)} winners")
    shared = {"model_a": row.get("model_a"), "model_b": row.get("model_b"), "winner": won[0]}
    texts = {"prompt": messages(prompt), "output_1": messages(first), "output_2": messages(second)}
    meta = fields.others(row, *names, *shared, *WON, "id")
    yield _shared(shared) | texts | {"instruction_id": row.get("id"), "meta": meta}


def _cell(value: object, name: str) -> list[str]:
    """The texts of a cell that holds a JSON list; null is an empty text, and another text is one text."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        found = [value]
    if not isinstance(found, list) or not all(each is None or isinstance(each, str) for each in found):
        raise ValueError(f"{name} is {fields.shown(value)}, not a list of texts")
    return ["" if each is None else each for each in found]


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    said = [
        _judged(turns(row[f"conversation_{side}"], f"conversation_{side}"), row.get("turn")) for side in "ab"
    ]
    prompt, (first, second) = apart(None, said)
    texts = {"prompt": prompt, "output_1": first, "output_2": second}
    yield _shared(row) | {name: messages(each) for name, each in texts.items()}


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
    for place, each in enumerate(said):
        users += each.role == "user"
        if users > count:
            return said[:place]
    return said
