"""Open-Assistant's trees: prompt, a message with replies, which have replies of their own; or flat messages.

Flat messages (message_id, parent_id, role, text, rank) are put together to trees first.

The replies to each message of a user that have a rank are compared each with each; rank 0 is the best. The
messages before them are the prompt. Deleted messages are left out. A tree without two ranked replies is an
instruction.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin, yes_or_no
from db.interchange.files import file_rows, readable_objects
from db.interchange.places import placed_rows, rows_by
from db.interchange.rows import Numbered, Placed, ReadOptions, Refusal

FLAT = frozenset({"message_id", "parent_id", "role", "text"})
MARKS = (frozenset({"message_tree_id", "prompt"}), FLAT)
SHAPE = (("message_tree_id",), ("prompt",))


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs of ranked replies."""
    origin = RowOrigin("oasst", "oasst-people")
    if next(readable_objects(path))[1].keys() >= FLAT:
        rows = _trees(path)
        return placed_rows(path, rows, options, shape=SHAPE, origin=origin, fill=_fill)
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill)


def _trees(path: Path) -> Iterator[Numbered | Refusal]:
    """The trees of a file of flat messages, numbered by their first message; lost replies are refused."""
    held: dict[str, Numbered] = {}
    for row in file_rows(path):
        name = "" if isinstance(row, Refusal) else str(row[1].get("message_id"))
        if isinstance(row, Refusal):
            yield row
        elif name in held:
            yield Refusal(row[0], f"the message {fields.shown(name)} stands twice in the file")
        else:
            held[name] = row[0], row[1] | {"replies": []}
    roots = [(number, each) for number, each in held.values() if fields.is_blank(each.get("parent_id"))]
    for _, message in held.values():
        if not fields.is_blank(parent := message.get("parent_id")) and str(parent) in held:
            held[str(parent)][1]["replies"].append(message)
    reached, open_messages = set(), [message for _, message in roots]
    while open_messages:
        message = open_messages.pop()
        reached.add(id(message))
        open_messages += message["replies"]
    for number, message in held.values():
        if id(message) not in reached:
            parent = fields.shown(message.get("parent_id"))
            yield Refusal(number, f"the message {parent} that this one replies to is in no tree of the file")
    for number, message in roots:
        yield number, {"message_tree_id": message.get("message_tree_id"), "prompt": message}


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    tree = row["prompt"]
    if not isinstance(tree, dict):
        raise ValueError(f"prompt is {fields.shown(tree)}, not a message")
    compared = False
    open_messages: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [(tree, [])]
    while open_messages:
        message, before = open_messages.pop()
        said = [*before, {"role": message.get("role"), "text": message.get("text")}]
        replies = [
            each for each in message.get("replies") or [] if not yes_or_no(each.get("deleted"), "deleted")
        ]
        open_messages += [(each, said) for each in reversed(replies)]
        ranked = [each for each in replies if not fields.is_blank(each.get("rank"))]
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
