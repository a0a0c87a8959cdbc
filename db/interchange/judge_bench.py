"""JudgeBench's files: question, response_A, response_B, label "A>B" or "B>A", source.

Files with the judgements of a judge have judge_name and judgments: a game with response_A first, and one with
response_B first. Each becomes a judgement beside the verified label. Of a reward model, which sees no order,
only the first does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin, renamed
from db.interchange.places import rows_by
from db.interchange.rows import Placed, ReadOptions
from db.records import AnnotatorKind

MARKS = frozenset({"question", "response_A", "response_B", "label"})
SHAPE = (("question",), ("response_A",), ("response_B",), ("label",))
CODES = {"a>b": 1.0, "b>a": 0.0, "a=b": 0.5, "b=a": 0.5}
TURNED = {"A>B": "B>A", "B>A": "A>B"}
COLUMNS = {
    "prompt": "question", "output_1": "response_A", "output_2": "response_B", "verdict": "label",
    "subset": "source", "model_1": "response_model", "model_2": "response_model", "item": "pair_id",
}  # fmt: skip
JUDGE = ("judge_name", "judgments")
REWARD_MODEL = "reward_model"


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs: the verified label, and each decision of a judge."""
    origin = RowOrigin("judgebench", "judgebench-verified", AnnotatorKind.GOLD)
    return rows_by(path, options, shape=SHAPE, origin=origin, fill=_fill, codes=CODES)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    shared = renamed(fields.others(row, *JUDGE), COLUMNS)
    yield shared
    name = fields.maybe_text(row, "judge_name")
    games = row.get("judgments") or []
    for place, game in enumerate(games[:1] if name == REWARD_MODEL else games):
        said, decision = game["judgment"] or {}, game.get("decision")
        scores = said.get("scores") or (None, None)
        yield shared | {
            "verdict": TURNED.get(decision, decision) if place else decision,
            "swapped": None if name == REWARD_MODEL else bool(place),
            "annotator": "/".join(filter(None, (said.get("judge_model"), name))) or "judge",
            "kind": "rm" if name == REWARD_MODEL else "llm",
            "reply": said.get("response") or None,
            "score_1": scores[place and 1],
            "score_2": scores[1 - (place and 1)],
            "undecided": True,
        }
