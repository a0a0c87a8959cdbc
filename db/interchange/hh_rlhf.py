"""hh-rlhf transcripts: `chosen` and `rejected`, each a whole dialogue of Human and Assistant turns.

The last turn, the Assistant's, is the output. The turns before it must be the same in both and are the
instruction. output_1 is the chosen output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.files import file_rows
from db.interchange.rows import PreferenceRow, ReadOptions, Refusal
from db.records import AnnotatorKind

MARKS = frozenset({"chosen", "rejected"})
SHAPE = (("chosen",), ("rejected",))
TURN = re.compile(r"\n\n(?=(?:Human|Assistant):)")


def read(path: Path, options: ReadOptions) -> Iterator[PreferenceRow | Refusal]:
    """Stream one preference row for each pair of transcripts."""
    return fields.rows_of(path, file_rows(path), SHAPE, lambda row: _rows(row, path, options))


def _rows(row: dict[str, Any], path: Path, options: ReadOptions) -> Iterator[PreferenceRow]:
    if not isinstance(row.get("chosen"), str):
        raise ValueError(f"chosen is {fields.shown(row.get('chosen'))}, not a transcript")
    (prompt, chosen), (other, rejected) = (_split(fields.text(row, name), name) for name in SHAPE_NAMES)
    if prompt != other:
        raise ValueError("chosen and rejected differ before the last turn of the Assistant")
    yield PreferenceRow(
        source=options.source or "hh-rlhf",
        subset=path.parent.name or None,
        instruction=prompt,
        input="",
        output_1=chosen,
        output_2=rejected,
        annotator=options.annotator or "hh-rlhf-crowd",
        annotator_kind=options.annotator_kind or AnnotatorKind.HUMAN,
        preference=1.0,
        preference_raw="chosen",
        meta=fields.others(row, *SHAPE_NAMES),
    )


SHAPE_NAMES = ("chosen", "rejected")


def _split(transcript: str, name: str) -> tuple[str, str]:
    """The dialogue before the last turn of the Assistant, and that turn's text.

    A dialogue of one question alone loses its mark "Human:". Raises ValueError where the turns are not so.
    """
    turns = TURN.split(transcript)
    if len(turns) < 2 or turns[0].strip() or not turns[1].startswith("Human:"):
        raise ValueError(f"{name} does not begin with a turn of the Human")
    last = turns[-1]
    if not last.startswith("Assistant:"):
        raise ValueError(f"{name} does not end with a turn of the Assistant")
    prompt = "\n\n".join(turns[1:-1])
    if prompt.startswith("Human:") and len(turns) == 3:
        prompt = prompt.removeprefix("Human:").strip()
    return prompt, last.removeprefix("Assistant:").strip()
