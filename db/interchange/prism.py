"""PRISM: people's scores of up to four models' answers at each turn of a conversation.

Conversations: conversation_id, user_id, conversation_history (items of role user or model, with turn,
content, model_name, score, if_chosen). Utterances: the same, one answer a row (user_prompt, model_response).
The answers of a turn are compared by their scores. The turns before it, each with the answer that was chosen,
are a part of its prompt. Each person is an annotator.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin
from db.interchange.files import file_rows, readable_objects
from db.interchange.places import placed_rows, rows_by
from db.interchange.rows import Numbered, Placed, ReadOptions, Refusal

CONVERSATIONS = frozenset({"conversation_id", "user_id", "conversation_history"})
UTTERANCES = frozenset({"conversation_id", "user_id", "turn", "user_prompt", "model_response", "score"})
MARKS = (CONVERSATIONS, UTTERANCES)
SHAPE = (("conversation_id",), ("user_id",), ("conversation_history", "user_prompt"))
HISTORY = "conversation_history"


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream the judged pairs of each turn."""
    origin = RowOrigin("prism", "prism-people")
    if HISTORY in next(readable_objects(path))[1]:
        return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill)
    rows = _conversations(path)
    return placed_rows(path, rows, options, shape=SHAPE, origin=origin, fill=_fill)


def _conversations(path: Path) -> Iterator[Numbered | Refusal]:
    """The utterances of each conversation as one row with its history, numbered by the first."""
    held: dict[str, Numbered] = {}
    for row in file_rows(path):
        if isinstance(row, Refusal):
            yield row
            continue
        number, each = row
        shared = {name: each.get(name) for name in ("conversation_id", "user_id", "conversation_type")}
        first: Numbered = number, {**shared, "user_prompt": each.get("user_prompt"), HISTORY: []}
        history = held.setdefault(str(each.get("conversation_id")), first)[1][HISTORY]
        if not any(said["role"] == "user" and said["turn"] == each.get("turn") for said in history):
            history.append({"role": "user", "turn": each.get("turn"), "content": each.get("user_prompt")})
        history.append({**each, "role": "model", "content": each.get("model_response")})
    yield from held.values()


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    before: list[dict[str, Any]] = []
    history = row[HISTORY]
    if not any(item["role"] == "model" for item in history):
        raise ValueError("the conversation has no answer")
    for asked in (item for item in history if item["role"] == "user"):
        answers = [item for item in history if item["role"] == "model" and item["turn"] == asked["turn"]]
        prompt = [*before, {"role": "user", "content": asked["content"]}]
        if answers:
            yield {
                "prompt": prompt,
                "outputs": [item["content"] for item in answers],
                "models": [item.get("model_name") for item in answers],
                "scores": [item.get("score") for item in answers],
                "annotator": row["user_id"],
                "subset": row.get("conversation_type"),
                "instruction_id": f"{row['conversation_id']}/{asked['turn']}",
            }
        chosen = next((item for item in answers if item.get("if_chosen") in (True, "True", "true")), None)
        if chosen is None and asked is not history[-1] and any(_later(item, asked) for item in history):
            raise ValueError(f"no answer of turn {fields.shown(asked['turn'])} was chosen, and it went on")
        before = [*prompt, {"role": "assistant", "content": chosen["content"]}] if chosen else prompt


def _later(item: dict[str, Any], asked: dict[str, Any]) -> bool:
    return bool(int(item["turn"]) > int(asked["turn"]))
