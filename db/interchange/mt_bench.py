"""MT-Bench's games of two models (FastChat): model_1, model_2, g1_winner, g2_winner, and the judge's prompts.

Each game is a judgement. In the first, model_1 is shown first, in the second, model_2. A winner is the name
model_1 or model_2 in both; error is no verdict. The texts are taken out of the first game's prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin, renamed
from db.interchange.places import rows_by
from db.interchange.rows import Placed, ReadOptions
from db.interchange.turns import Said, apart, messages
from db.records import AnnotatorKind

MARKS = frozenset({"model_1", "model_2", "g1_winner", "g2_winner"})
SHAPE = (("model_1",), ("model_2",), ("g1_winner",), ("g2_winner",), ("g1_user_prompt",))
CODES: dict[str, float | None] = {"model_1": 1.0, "model_2": 0.0, "tie": 0.5, "error": None}
ONE = re.compile(
    r"\[User Question\]\n(?P<asked>.*?)\n\n"
    r"(?:\[The Start of Reference Answer\].*?\[The End of Reference Answer\]\n\n)?"
    r"\[The Start of Assistant A's Answer\]\n(?P<a>.*?)\n\[The End of Assistant A's Answer\]\n\n"
    r"\[The Start of Assistant B's Answer\]\n(?P<b>.*?)\n\[The End of Assistant B's Answer\]\s*",
    re.DOTALL,
)
BOTH = re.compile(
    r".*?<\|The Start of Assistant A's Conversation with User\|>(?P<a>.*?)"
    r"<\|The End of Assistant A's Conversation with User\|>.*?"
    r"<\|The Start of Assistant B's Conversation with User\|>(?P<b>.*?)"
    r"<\|The End of Assistant B's Conversation with User\|>\s*",
    re.DOTALL,
)
TURN = re.compile(r"\n*### (User|Assistant [AB]):\n")
COLUMNS = {
    "model_1": "model_1", "model_2": "model_2", "verdict": "g1_winner", "reply": "g1_judgment",
    "instruction_id": "question_id",
}  # fmt: skip
KNOWN = (
    "judge", "g1_user_prompt", "g2_user_prompt", "g1_winner", "g2_winner", "g1_judgment", "g2_judgment",
    "tstamp",
)  # fmt: skip


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream two judgements of each row."""
    origin = RowOrigin("mt-bench", "judge", AnnotatorKind.LLM)
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill, codes=CODES)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    judge = row.get("judge")
    annotator = "/".join(map(str, judge)) if isinstance(judge, list) else judge
    shared = renamed(row, COLUMNS) | _texts(fields.text(row, "g1_user_prompt")) | {"annotator": annotator}
    shared["meta"] = fields.others(row, *COLUMNS.values(), *KNOWN)
    for game in (1, 2):
        yield shared | {
            "verdict": row.get(f"g{game}_winner"),
            "reply": row.get(f"g{game}_judgment"),
            "swapped": game == 2,
            "undecided": True,
        }


def _texts(prompt: str) -> dict[str, Any]:
    """The prompt and both outputs as the judge saw them. Raises ValueError where they are not to be found."""
    if (one := ONE.fullmatch(prompt)) is not None:
        return {"prompt": one["asked"], "output_1": one["a"], "output_2": one["b"]}
    if (both := BOTH.fullmatch(prompt)) is not None:
        asked, (first, second) = apart(None, [_conversation(both[side]) for side in "ab"])
        return {"prompt": messages(asked), "output_1": messages(first), "output_2": messages(second)}
    raise ValueError("g1_user_prompt does not show a question and two answers as MT-Bench does")


def _conversation(text: str) -> list[Said]:
    parts = TURN.split(text.strip("\n"))[1:]
    roles = ["user" if name == "User" else "assistant" for name in parts[::2]]
    return list(map(Said, roles, parts[1::2]))
