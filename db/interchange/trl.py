"""TRL's two preference formats: paired (prompt, chosen, rejected) and unpaired (prompt, completion, label).

Each field is a text (standard) or a list of messages with role and content (conversational). Where a paired
row has no `prompt`, the leading turns that chosen and rejected share are the prompt. A conversation of
several turns becomes one text with a paragraph "Role: text" for each turn. TRL has neither ties nor missing
verdicts, so that a writer leaves such rows out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.files import objects, write_objects
from db.interchange.rows import ImportedOutput, PreferenceRow, ReadOptions, Refusal
from db.records import AnnotatorKind

MARKS = frozenset({"prompt", "chosen", "rejected"})
UNPAIRED_MARKS = frozenset({"prompt", "completion", "label"})
PAIRED = (("chosen",), ("rejected",))
UNPAIRED = (("prompt",), ("completion",), ("label",))
KNOWN = ("prompt", "chosen", "rejected", "completion", "label")


def read(path: Path, options: ReadOptions) -> Iterator[PreferenceRow | Refusal]:
    """Stream paired rows as preferences; output_1 is the chosen output."""
    return fields.rows_of(path, objects(path), PAIRED, lambda row: _paired(row, options))


def read_unpaired(path: Path, options: ReadOptions) -> Iterator[ImportedOutput | Refusal]:
    """Stream unpaired rows as outputs in two sets: SET/desirable and SET/undesirable."""
    return fields.rows_of(path, objects(path), UNPAIRED, lambda row: _unpaired(row, options))


def _paired(row: dict[str, Any], options: ReadOptions) -> Iterator[PreferenceRow]:
    chosen, rejected = _messages(row, "chosen"), _messages(row, "rejected")
    prompt = _messages(row, "prompt") if row.get("prompt") is not None else None
    if prompt is None:
        shared = _shared(chosen, rejected)
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    yield PreferenceRow(
        source=options.source or "trl",
        instruction=_text(prompt, "prompt"),
        input="",
        output_1=_text(chosen, "chosen"),
        output_2=_text(rejected, "rejected"),
        annotator=options.annotator or "trl",
        annotator_kind=options.annotator_kind or AnnotatorKind.HUMAN,
        preference=1.0,
        preference_raw="chosen",
        meta=fields.others(row, *KNOWN),
    )


def _unpaired(row: dict[str, Any], options: ReadOptions) -> Iterator[ImportedOutput]:
    label = row.get("label")
    if not isinstance(label, bool):
        raise ValueError(f"label is {fields.shown(label)}, not true or false")
    name = options.set_name or options.source or "trl"
    yield ImportedOutput(
        instruction=_text(_messages(row, "prompt"), "prompt"),
        input="",
        output=_text(_messages(row, "completion"), "completion"),
        model=options.source or "",
        set_name=f"{name}/{'desirable' if label else 'undesirable'}",
    )


Turn = tuple[str, str]  # role, text


def _messages(row: dict[str, Any], name: str) -> Sequence[Turn]:
    """The turns of a field. A plain text is one turn without a role."""
    value = row.get(name)
    if isinstance(value, str):
        return [("", fields.require_storable(name, value))]
    if not isinstance(value, list):
        raise ValueError(f"{name} is {fields.shown(value)}, neither a text nor a list of messages")
    turns = []
    for message in value:
        if not isinstance(message, dict):
            raise ValueError(f"{name} holds {fields.shown(message)}, not a message")
        turns.append((fields.text(message, "role"), fields.text(message, "content")))
    return turns


def _shared(chosen: Sequence[Turn], rejected: Sequence[Turn]) -> int:
    """How many leading turns both conversations share.

    Raises ValueError where they share none, as two plain texts do, or where one has no turn of its own.
    """
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    if shared == 0:
        raise ValueError("there is no prompt, and chosen and rejected share no turn")
    if shared in (len(chosen), len(rejected)):
        raise ValueError("chosen and rejected do not differ in what follows their shared turns")
    return shared


def _text(turns: Sequence[Turn], name: str) -> str:
    if not turns:
        raise ValueError(f"{name} has no message")
    if len(turns) == 1:
        return turns[0][1]
    return "\n\n".join(f"{role.capitalize()}: {text}" for role, text in turns)


def _prompt(row: PreferenceRow) -> str:
    return f"{row.instruction}\n\n{row.input}" if row.input else row.instruction


def write(rows: Iterable[PreferenceRow], path: Path) -> int:
    """Write one row for each judgement that prefers an output; returns the number of rows."""
    return write_objects((_paired_dict(row) for row in rows if _decided(row)), path)


def write_unpaired(rows: Iterable[PreferenceRow], path: Path) -> int:
    """Write two rows for each judgement that prefers an output; returns the number of rows."""
    return write_objects((each for row in rows if _decided(row) for each in _unpaired_dicts(row)), path)


def _decided(row: PreferenceRow) -> bool:
    return row.preference not in (None, 0.5)


def _paired_dict(row: PreferenceRow) -> dict[str, Any]:
    assert row.preference is not None
    chosen, rejected = (row.output_1, row.output_2) if row.preference > 0.5 else (row.output_2, row.output_1)
    return {"prompt": _prompt(row), "chosen": chosen, "rejected": rejected}


def _unpaired_dicts(row: PreferenceRow) -> Iterator[dict[str, Any]]:
    pair = _paired_dict(row)
    for name, label in (("chosen", True), ("rejected", False)):
        yield {"prompt": pair["prompt"], "completion": pair[name], "label": label}
