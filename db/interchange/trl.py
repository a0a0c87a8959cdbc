"""TRL's two preference formats: paired (prompt, chosen, rejected) and unpaired (prompt, completion, label).

An unpaired row is a rating: its output is judged alone, true is 1 and false is 0.

Each field is a text (standard) or a list of messages with role and content (conversational). A prompt
may be called instruction or question. Without one, the leading turns that chosen and rejected share are it.
Turns of an answer that repeat the prompt are left out. A prompt of several turns keeps them. A writer writes
messages in every row where any row is a conversation, because a column has one type. TRL has neither ties nor
missing verdicts, so that a writer leaves such rows out. Beside TRL's own fields a writer gives models,
subset, scores and annotator, where they are known, under the names that a reader takes. The input is a part
of the prompt, and stands beside it once more. Paired rows of ours have more, see beside_trl.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from db.interchange import beside_trl, fields
from db.interchange.asked import RowOrigin, yes_or_no
from db.interchange.files import file_rows
from db.interchange.places import entries
from db.interchange.rows import Entry, Placed, PreferenceRow, RatedOutput, ReadOptions
from db.interchange.writing import write_objects
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
    "annotator": "annotator", "kind": "annotator_kind",
}  # fmt: skip
BESIDE_UNPAIRED = {
    "output": "completion", "good": "label", "system": "system", "model": "model", "subset": "subset",
    "annotator": "annotator", "kind": "annotator_kind", "item": "item_id", "source": "source", "raw": "score",
    "input": "input",
}  # fmt: skip
UNPAIRED_KNOWN = (*BESIDE_UNPAIRED.values(), "rating")
META = "meta"  # what a row held beside its fields, as a JSON text
ORIGIN = RowOrigin("trl", "trl")
WrittenRow = TypeVar("WrittenRow", bound=PreferenceRow | RatedOutput)


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream paired rows as preferences; output_1 is the chosen output."""
    return fields.rows_of(path, file_rows(path), PAIRED, lambda row: _paired(row, options))


def read_unpaired(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream unpaired rows as ratings."""
    return fields.rows_of(path, file_rows(path), UNPAIRED, lambda row: _unpaired(row, options))


def _paired(row: dict[str, Any], options: ReadOptions) -> Iterator[Entry]:
    places = {place: row.get(name) for place, name in BESIDE.items()}
    texts = {side: next((row[n] for n in names if n in row), None) for side, names in SIDES.items()}
    texts["prompt"] = _asked(row)
    if row.get(beside_trl.FARM) is None:
        yield from entries(places | texts | _meta(row, *KNOWN, *BESIDE.values()), ORIGIN, options)
        return
    places |= {"source": row.get("source"), "item": row.get("item_id")}
    if (first := yes_or_no(row.get("chosen_first"), "chosen_first")) is not None:
        places["swapped"] = not first
    meta = _meta(row, *KNOWN, *BESIDE.values(), *beside_trl.NAMED)
    for entry in entries(places | texts | meta, ORIGIN, options):
        yield beside_trl.as_it_was(entry, row[beside_trl.FARM])


def _unpaired(row: dict[str, Any], options: ReadOptions) -> Iterator[Entry]:
    places = {place: row.get(name) for place, name in BESIDE_UNPAIRED.items()} | {"prompt": _asked(row)}
    if yes_or_no(row.get("label"), "label") is None:
        raise ValueError("label is missing")
    soft = {} if row.get("rating") is None else {"good": None, "label": row["rating"]}
    return entries(places | soft | _meta(row, *UNPAIRED_KNOWN), ORIGIN, options)


def _meta(row: dict[str, Any], *known: str) -> dict[str, Any]:
    """What a row holds beside the known fields; what a writer of this file put into `meta` is taken out."""
    found, packed = fields.others(row, *known, *PROMPTS), row.get(META)
    if isinstance(packed, str):
        with suppress(ValueError):
            held = json.loads(packed)
            if isinstance(held, dict):
                return {"meta": {name: value for name, value in found.items() if name != META} | held}
    return {"meta": found}


def _asked(row: dict[str, Any]) -> object:
    """The prompt by any of its usual names; None where chosen and rejected may share it.

    It ends with the input where the row tells that apart too.
    """
    prompt, input = next((row[name] for name in PROMPTS if row.get(name) is not None), None), row.get("input")
    if not isinstance(input, str) or not input:
        return prompt
    if isinstance(prompt, list) and prompt and isinstance(prompt[-1], dict):
        last = {name: _without(said, input) for name, said in prompt[-1].items()}
        return [*prompt[:-1], last]
    return _without(prompt, input)


def _without(said: object, input: str) -> object:
    return said.removesuffix(f"\n\n{input}") if isinstance(said, str) else said


def write(rows: Iterable[PreferenceRow], path: Path) -> int:
    """Write one row for each judgement that prefers an output; returns the number of rows.

    rows: are iterated twice.
    """
    decided = _Decided(rows)
    return write_objects((_paired_dict(row, decided.talk) for row in decided), path)


def write_unpaired(rows: Iterable[PreferenceRow | RatedOutput], path: Path) -> int:
    """Write a row for each rating, and two for each judgement that prefers an output.

    rows: are iterated twice. Returns the number of rows. A label between 0 and 1 stands in `rating`, and
    `label` is the nearer of true and false; one of 0.5 is left out.
    """
    decided = _Decided(rows)
    return write_objects((each for row in decided for each in _unpaired_dicts(row, decided.talk)), path)


class _Decided(Generic[WrittenRow]):
    """The rows that prefer or rate an output. talk: whether any of them is a conversation."""

    def __init__(self, rows: Iterable[WrittenRow]) -> None:
        self._rows = list(rows) if isinstance(rows, Iterator) else rows
        self.talk = any(any(_turns(row)) for row in self)

    def __iter__(self) -> Iterator[WrittenRow]:
        return (row for row in self._rows if _verdict(row) not in (None, 0.5))


def _turns(row: PreferenceRow | RatedOutput) -> tuple[tuple[Turn, ...], ...]:
    """The turns of the prompt and of the outputs; none of what is flat."""
    return row.turns, *((row.output_turns,) if isinstance(row, RatedOutput) else (row.turns_1, row.turns_2))


def _verdict(row: PreferenceRow | RatedOutput) -> float | None:
    return row.label if isinstance(row, RatedOutput) else row.preference


def _paired_dict(row: PreferenceRow, talk: bool) -> dict[str, Any]:
    """The fields of a row: messages where `talk` is set, else texts."""
    sides = dict(zip(("chosen", "rejected"), _sides(row), strict=True))
    texts = {name: _said(side.text, side.turns, talk) for name, side in sides.items()}
    models = {f"{name}_model": side.model for name, side in sides.items()}
    scores = {f"score_{name}": side.score for name, side in sides.items()}
    beside = {**models, **scores, **_judged(row), **beside_trl.to_fields(row)}
    return {"prompt": _prompt(row, talk), **texts, **_known(beside)}


def _unpaired_dicts(row: PreferenceRow | RatedOutput, talk: bool) -> Iterator[dict[str, Any]]:
    if isinstance(row, RatedOutput):
        soft = None if row.label in (0.0, 1.0) else row.label
        beside = {"rating": soft, "model": row.model, "score": row.raw, **_judged(row)}
        beside |= {"item_id": row.name, "source": row.source}
        said = _said(row.output, row.output_turns, talk)
        yield {"prompt": _prompt(row, talk), "completion": said, "label": row.label > 0.5, **_known(beside)}
        return
    for label, side in zip((True, False), _sides(row), strict=True):
        beside = {"model": side.model, "score": side.score, **_judged(row)}
        said = _said(side.text, side.turns, talk)
        yield {"prompt": _prompt(row, talk), "completion": said, "label": label, **_known(beside)}


def _prompt(row: WrittenRow, talk: bool) -> str | list[dict[str, str]]:
    asked = Instruction(row.instruction, row.input, row.turns).messages
    return [turn.message for turn in asked] if talk else asked[0].content


def _said(text: str, turns: Sequence[Turn], talk: bool) -> str | list[dict[str, str]]:
    return [turn.message for turn in turns or [Turn(TurnRole.ASSISTANT, text)]] if talk else text


class _Side(NamedTuple):
    """An output of a pair."""

    text: str
    turns: tuple[Turn, ...]
    model: str | None
    score: float | None


def _sides(row: PreferenceRow) -> tuple[_Side, ...]:
    """The chosen output, then the rejected one."""
    assert row.preference is not None
    score_1, score_2 = row.scores if row.scores and len(row.scores) == 2 else (None, None)
    both = (
        _Side(row.output_1, row.turns_1, row.output_1_model, score_1),
        _Side(row.output_2, row.turns_2, row.output_2_model, score_2),
    )
    return both if row.preference > 0.5 else both[::-1]


def _judged(row: WrittenRow) -> dict[str, Any]:
    kind = row.annotator_kind
    beside = {"subset": row.subset, "annotator": row.annotator, "annotator_kind": kind.value}
    return beside | {"input": row.input or None, META: json.dumps(row.meta) if row.meta else None}


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
