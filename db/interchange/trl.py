"""TRL's two preference formats: paired (prompt, chosen, rejected) and unpaired (prompt, completion, label).

Each field is a text (standard) or a list of messages with role and content (conversational). A prompt
may be called instruction or question. Without one, the leading turns that chosen and rejected share are it.
Turns of an answer that repeat the prompt are left out. A prompt of several turns keeps them. A writer writes
messages in every row where any row is a conversation, because a column has one type. TRL has neither ties nor
missing verdicts, so that a writer leaves such rows out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin, yes_or_no
from db.interchange.files import file_rows, write_objects
from db.interchange.places import entries
from db.interchange.rows import Entry, PreferenceRow, ReadOptions, Refusal
from db.interchange.turns import messages
from db.records import Instruction, Turn, TurnRole

MARKS = (frozenset({"prompt", "chosen", "rejected"}), frozenset({"chosen_messages", "rejected_messages"}))
ORCA = frozenset({"question", "chosen", "rejected"})
UNPAIRED_MARKS = frozenset({"prompt", "completion", "label"})
SIDES = {"chosen": ("chosen", "chosen_messages"), "rejected": ("rejected", "rejected_messages")}
PAIRED = tuple(SIDES.values())
UNPAIRED = (("prompt", "instruction", "question"), ("completion",), ("label",))
KNOWN = ("chosen", "rejected", "chosen_messages", "rejected_messages", "completion", "label")
PROMPTS = ("prompt", "instruction", "question", "conversations")
BESIDE = {
    "input": "input", "system": "system", "history": "history", "subset": "subset",
    "model_chosen": "chosen_model", "model_rejected": "rejected_model",
    "score_chosen": "score_chosen", "score_rejected": "score_rejected",
}  # fmt: skip
ORIGIN = RowOrigin("trl", "trl")


def read(path: Path, options: ReadOptions) -> Iterator[Entry | Refusal]:
    """Stream paired rows as preferences; output_1 is the chosen output."""
    return fields.rows_of(path, file_rows(path), PAIRED, lambda row: _paired(row, options))


def read_unpaired(path: Path, options: ReadOptions) -> Iterator[Entry | Refusal]:
    """Stream unpaired rows as outputs in two sets: SET/desirable and SET/undesirable."""
    return fields.rows_of(path, file_rows(path), UNPAIRED, lambda row: _unpaired(row, options))


def _paired(row: dict[str, Any], options: ReadOptions) -> Iterator[Entry]:
    places = {place: row.get(name) for place, name in BESIDE.items()}
    texts = {side: next((row[n] for n in names if n in row), None) for side, names in SIDES.items()}
    texts["prompt"] = _asked(row)
    meta = {"meta": fields.others(row, *KNOWN, *BESIDE.values(), *PROMPTS)}
    return entries(places | texts | meta, ORIGIN, options)


def _unpaired(row: dict[str, Any], options: ReadOptions) -> Iterator[Entry]:
    places = {"prompt": _asked(row), "system": row.get("system"), "output": row["completion"]}
    good = yes_or_no(row.get("label"), "label")
    if good is None:
        raise ValueError("label is missing")
    return entries(places | {"good": good, "model": options.source}, ORIGIN, options)


def _asked(row: dict[str, Any]) -> object:
    """The prompt by any of its usual names; None where chosen and rejected may share it."""
    return next((row[name] for name in PROMPTS if row.get(name) is not None), None)


def write(rows: Iterable[PreferenceRow], path: Path) -> int:
    """Write one row for each judgement that prefers an output; returns the number of rows.

    rows: are iterated twice.
    """
    decided = _Decided(rows)
    return write_objects((_paired_dict(row, decided.talk) for row in decided), path)


def write_unpaired(rows: Iterable[PreferenceRow], path: Path) -> int:
    """Write two rows for each judgement that prefers an output; returns the number of rows.

    rows: are iterated twice.
    """
    decided = _Decided(rows)
    return write_objects((each for row in decided for each in _unpaired_dicts(row, decided.talk)), path)


class _Decided:
    """The rows that prefer an output. talk: whether any of them is a conversation."""

    def __init__(self, rows: Iterable[PreferenceRow]) -> None:
        self._rows = list(rows) if isinstance(rows, Iterator) else rows
        self.talk = any(row.turns for row in self)

    def __iter__(self) -> Iterator[PreferenceRow]:
        return (row for row in self._rows if row.preference not in (None, 0.5))


def _paired_dict(row: PreferenceRow, talk: bool) -> dict[str, Any]:
    """The fields of a row: messages where `talk` is set, else texts."""
    assert row.preference is not None
    chosen, rejected = (row.output_1, row.output_2) if row.preference > 0.5 else (row.output_2, row.output_1)
    asked = Instruction(row.instruction, row.input, row.turns).messages
    if not talk:
        return {"prompt": asked[0].content, "chosen": chosen, "rejected": rejected}
    answers = {"chosen": chosen, "rejected": rejected}
    return {"prompt": messages(asked)} | {
        side: messages([Turn(TurnRole.ASSISTANT, text)]) for side, text in answers.items()
    }


def _unpaired_dicts(row: PreferenceRow, talk: bool) -> Iterator[dict[str, Any]]:
    pair = _paired_dict(row, talk)
    for name, label in (("chosen", True), ("rejected", False)):
        yield {"prompt": pair["prompt"], "completion": pair[name], "label": label}
