"""hh-rlhf transcripts: `chosen` and `rejected`, each a whole dialogue of Human and Assistant turns.

The last turn, the Assistant's, is the output. The turns before it must be the same in both and are the
prompt. A paragraph that begins with "Human:" or "Assistant:" is a turn. output_1 is the chosen output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.files import file_rows
from db.interchange.rows import Placed, PreferenceRow, ReadOptions
from db.interchange.turns import ROLES, Said, prompted
from db.records import AnnotatorKind

MARKS = frozenset({"chosen", "rejected"})
SHAPE = (("chosen",), ("rejected",))
TURN = re.compile(r"\n\n(?=(?:Human|Assistant):)")


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
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
        **prompted(prompt)._asdict(),
        output_1=chosen,
        output_2=rejected,
        annotator=options.annotator or "hh-rlhf-crowd",
        annotator_kind=options.annotator_kind or AnnotatorKind.HUMAN,
        preference=1.0,
        preference_raw="chosen",
        meta=fields.others(row, *SHAPE_NAMES),
    )


SHAPE_NAMES = ("chosen", "rejected")


def _split(transcript: str, name: str) -> tuple[list[Said], str]:
    """The turns before the last one, and the text of that one, the Assistant's.

    Raises ValueError where the turns are not so.
    """
    front, *parts = TURN.split(transcript)
    if front.strip() or not parts or not parts[0].startswith("Human:"):
        raise ValueError(f"{name} does not begin with a turn of the Human")
    if not parts[-1].startswith("Assistant:"):
        raise ValueError(f"{name} does not end with a turn of the Assistant")
    split = (part.partition(":") for part in parts)
    said = [Said(ROLES[who.lower()], text.strip()) for who, _, text in split]
    return said[:-1], said[-1].text
