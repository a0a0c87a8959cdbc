"""Open-Assistant's trees: prompt, a message with replies, which have replies of their own.

The replies to each message of a user that have a rank are compared each with each; rank 0 is the best. The
messages before them are the prompt. Deleted messages are left out. A tree without two ranked replies is an
instruction.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin
from db.interchange.places import rows_by
from db.interchange.rows import Entry, ReadOptions, Refusal

MARKS = frozenset({"message_tree_id", "prompt"})
SHAPE = (("message_tree_id",), ("prompt",))


def read(path: Path, options: ReadOptions) -> Iterator[Entry | Refusal]:
    """Stream judged pairs of ranked replies."""
    origin = RowOrigin("oasst", "oasst-people")
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    tree = row["prompt"]
    if not isinstance(tree, dict):
        raise ValueError(f"prompt is {fields.shown(tree)}, not a message")
    compared = False
    open_messages: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [(tree, [])]
    while open_messages:
        message, before = open_messages.pop()
        said = [*before, {"role": message.get("role"), "text": message.get("text")}]
        replies = [each for each in message.get("replies") or [] if not each.get("deleted")]
        open_messages += [(each, said) for each in reversed(replies)]
        ranked = [each for each in replies if each.get("rank") is not None]
        if len(ranked) > 1 and message.get("role") == "prompter":
            compared = True
            yield {
                "prompt": said,
                "outputs": [each.get("text") for each in ranked],
                "ranks": [each["rank"] for each in ranked],
                "models": [each.get("model_name") for each in ranked],
                "subset": message.get("lang"),
                "instruction_id": message.get("message_id"),
            }
    if not compared:
        yield {"prompt": [tree], "subset": tree.get("lang"), "instruction_id": tree.get("message_id")}
