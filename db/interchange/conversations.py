"""Rows that hold one conversation: `messages` (OpenAI) or `conversations` (ShareGPT, from and value).

With chosen and rejected beside it, the conversation is the prompt of a judged pair. With rejected_response or
rejected_messages (ms-swift), its last turn is the chosen output. With label or kto_tag, its last turn is an
answer that is good or bad. Otherwise its last turn, if it is the assistant's, is a reference answer to the
turns before it. A system text becomes the first turn; tools are kept in meta.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin
from db.interchange.places import rows_by
from db.interchange.rows import Placed, ReadOptions
from db.interchange.turns import messages, turns

MESSAGES = frozenset({"messages"})
SHAREGPT = frozenset({"conversations"})
SWIFT = (frozenset({"messages", "rejected_response"}), frozenset({"messages", "rejected_messages"}))
HELD = ("messages", "conversations")
MEDIA = ("images", "videos", "audios")
GOOD = ("kto_tag", "label")
KNOWN = (*HELD, *GOOD, "system", "chosen", "rejected", "rejected_response", "rejected_messages")


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream what each conversation gives: a judged pair, a good or bad answer, or a reference answer."""
    origin = RowOrigin(fields.stem(path), fields.stem(path))
    return rows_by(path, options, shape=(HELD,), origin=origin, fill=_fill)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    name = next(each for each in HELD if each in row)
    said = turns(row[name], name)
    if not said:
        raise ValueError(f"{name} has no message")
    if media := next((each for each in MEDIA if row.get(each)), None):
        raise ValueError(f"the row has {media}, and only texts can be judged")
    system = row.get("system") if said[0].role != "system" else None
    shared = {"system": system, "meta": fields.others(row, *KNOWN)}
    good = next((row[each] for each in GOOD if row.get(each) is not None), None)
    if row.get("chosen") is not None and row.get("rejected") is not None:
        yield {"prompt": row[name], "chosen": row["chosen"], "rejected": row["rejected"], **shared}
        return
    asked, answer = messages(said[:-1]), messages(said[-1:])
    rejected = row.get("rejected_response") or row.get("rejected_messages")
    if rejected is not None:
        for each in rejected if isinstance(rejected, list) and isinstance(rejected[0], str) else [rejected]:
            yield {"prompt": asked, "chosen": answer, "rejected": each, **shared}
    elif good is not None:
        yield {"prompt": asked, "output": answer, "good": good, **shared}
    elif said[-1].role == "assistant" and asked:
        yield {"prompt": asked, "reference": answer, **shared}
    else:
        yield {"prompt": [*asked, *answer], **shared}
