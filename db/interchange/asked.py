"""The places of a row that any table can fill, and what stands in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from db.interchange import fields, verdicts
from db.interchange.fields import Fields
from db.interchange.rows import ReadOptions
from db.interchange.turns import Turns, turns
from db.interchange.verdicts import Codes, is_blank
from db.records import AnnotatorKind

PLACES: Mapping[str, str] = {
    "prompt": "what was asked: a text or messages",
    "input": "the instruction's input",
    "system": "a system text, which becomes the first turn of the prompt",
    "history": "earlier turns as pairs [question, answer]",
    "output_1": "the first output of a pair; further ones are output_3, output_4, ...",
    "output_2": "the second output of a pair",
    "chosen": "the preferred output, or a list of them",
    "rejected": "the other output, or a list of them",
    "output": "the only output of a row",
    "outputs": "a list of outputs",
    "model_1": "who wrote output_1; model_2, ... the others",
    "model_2": "who wrote output_2",
    "model_chosen": "who wrote the chosen output",
    "model_rejected": "who wrote the rejected output",
    "model": "who wrote the only output",
    "models": "a list of those who wrote the outputs",
    "score_1": "the score of output_1, more is better; score_2, ... of the others",
    "score_2": "the score of output_2",
    "score_chosen": "the score of the chosen output",
    "score_rejected": "the score of the rejected output",
    "score": "the score of the only output",
    "scores": "a list of the outputs' scores",
    "rank_1": "the rank of output_1, 1 is best; rank_2, ... of the others",
    "rank_2": "the rank of output_2",
    "rank": "the rank of the only output among those of its prompt",
    "ranks": "a list of the outputs' ranks",
    "verdict": "which output is preferred",
    "good": "whether the only output is good",
    "label": "how good the only output is, from 0 to 1, where no score compares it with others",
    "reference": "a reference answer to the prompt",
    "strength": "how strongly; it is kept beside the verdict",
    "annotator": "who judged",
    "kind": "what kind of annotator: human, llm, rm or gold",
    "source": "where the row comes from; the file's name else",
    "subset": "a part of the data, such as a category",
    "item": "the source's own name for the question",
    "instruction_id": "the source's own name for the instruction",
    "swapped": "whether output_2 was shown first",
    "reply": "the annotator's raw reply",
}
YES = frozenset({"1", "true", "yes", "y", "good", "up"})
NO = frozenset({"0", "-1", "false", "no", "n", "bad", "down"})


@dataclass(frozen=True)
class RowOrigin:
    """Where rows come from: what is said of them where neither the row nor the user says it."""

    source: str
    annotator: str
    kind: AnnotatorKind = AnnotatorKind.HUMAN


@dataclass(frozen=True)
class PlacedOutput:
    """One output to a prompt.

    score: more is better; it is the rank with its sign turned where there is only a rank. given: the score or
    the rank as the source says it. aspects: its scores on single criteria.
    """

    said: Turns
    model: str | None = None
    score: float | None = None
    given: float | None = None
    aspects: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A row's prompt as turns, and what its entries share."""

    row: Fields
    prompt: Turns | None
    origin: RowOrigin
    options: ReadOptions
    codes: Codes
    meta: Mapping[str, Any]

    @property
    def source(self) -> str:
        """The source's name."""
        return self.options.source or self.text("source") or self.origin.source

    def text(self, name: str) -> str | None:
        """A place as a text; None where it is blank."""
        return None if is_blank(self.row.get(name)) else fields.maybe_text(self.row, name)

    def number(self, name: str) -> float | None:
        """A place as a number; None where it is blank. Raises ValueError for anything else."""
        return _number(self.row.get(name), name)


def renamed(row: Fields, columns: Mapping[str, str]) -> dict[str, Any]:
    """A row's places from its columns; the other columns become its meta."""
    filled = {place: row.get(column) for place, column in columns.items()}
    return filled | {"meta": fields.others(row, *columns.values())}


def answer_of(asked: Asked, end: str = "") -> PlacedOutput:
    """The output, model, score, rank or scores by criterion whose places end so, such as _1."""
    value = asked.row.get(f"output{end}")
    if value is None:
        raise ValueError(f"output{end} is missing")
    rank, score = asked.number(f"rank{end}"), asked.number(f"score{end}")
    said, model = answer_turns(value, f"output{end}"), asked.text(f"model{end}")
    aspects = _aspects(asked.row.get(f"aspect{end}"))
    if score is None and rank is not None:
        return PlacedOutput(said, model, -rank, rank, aspects=aspects)
    return PlacedOutput(said, model, score, score, aspects=aspects)


def _aspects(value: object) -> dict[str, float]:
    """Scores by criterion, where a format fills the place `aspect`; what is no number is left out."""
    given = value if isinstance(value, Mapping) else {}
    found = {str(name): verdicts.number_of(each) for name, each in given.items()}
    return {name: each for name, each in found.items() if each is not None}


def answer_turns(value: object, name: str) -> Turns:
    """The turns of an output; a number or a truth value is its text."""
    return turns(str(value) if fields.is_number(value) or isinstance(value, bool) else value, name)


def _number(value: object, name: str) -> float | None:
    if is_blank(value):
        return None
    number = verdicts.number_of(value)
    if number is None:
        raise ValueError(f"{name} is {fields.shown(value)}, not a number")
    return number


def numbered(asked: Asked) -> Iterator[PlacedOutput]:
    """The outputs output_1, output_2, ..., as many as are filled."""
    number = 1
    while f"output_{number}" in asked.row:
        if number < 3 or not is_blank(asked.row[f"output_{number}"]):
            yield answer_of(asked, f"_{number}")
        number += 1


def listed(asked: Asked, name: str) -> Iterator[PlacedOutput]:
    """The outputs of a list, with models, scores and ranks from lists of the same length."""
    values = asked.row[f"{name}s"]
    if not isinstance(values, list):
        raise ValueError(f"{name}s is {fields.shown(values)}, not a list")
    beside = {}
    for other in ("model", "score", "rank", "aspect"):
        found = asked.row.get(f"{other}s")
        if found is not None and (not isinstance(found, list) or len(found) != len(values)):
            raise ValueError(f"{other}s is {fields.shown(found)}, not a list of {len(values)}")
        beside[other] = found or [None] * len(values)
    for place, value in enumerate(values):
        one = {"output": value, **{other: found[place] for other, found in beside.items()}}
        yield answer_of(replace(asked, row=one))


def yes_or_no(value: object, name: str) -> bool | None:
    """A value that says yes or no; None where it is blank. Raises ValueError for anything else."""
    if is_blank(value):
        return None
    said = verdicts.plain(value)
    if said not in YES | NO:
        raise ValueError(f"{name} is {fields.shown(value)}, not true or false")
    return said in YES
