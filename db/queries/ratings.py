"""Judgements of single outputs: as rows of the interchange format, and as training reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Select, select

from db.ids import content_hash
from db.instruction_rows import ASKED, instruction_of
from db.interchange.rows import RatedOutput
from db.ledger import Ledger
from db.queries.exports import RowFilter
from db.records import AnnotatorKind, Instruction, turns_from_json
from db.tables import ANNOTATOR, INSTRUCTION, OUTPUT, RATING, SNAPSHOT_RATING

WHOLE = "score"
"""The attribute of ratings that name none."""
Query = TypeVar("Query", bound=Select[*tuple[Any, ...]])


@dataclass(frozen=True, slots=True)
class Rated:
    """An output as training sees it, whoever judged it and how often.

    label: how good it is, in [0, 1], the mean over annotators of each annotator's mean.
    """

    instruction: Instruction
    output: str
    label: float


@dataclass(frozen=True, slots=True)
class RatedAttributes:
    """An output with the mean rating of each attribute, over annotators as in `Rated`.

    An attribute is the subset of its ratings, and `WHOLE` where they have none. Attributes that nobody rated
    are missing.
    """

    instruction: Instruction
    output: str
    labels: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ChosenRatings:
    """The ratings that a snapshot would freeze. key: hash of their content."""

    rating_ids: tuple[int, ...]
    key: str


class GivenRating(NamedTuple):
    """A rating by the numbers of its output, instruction and annotator in the ledger."""

    output: int
    instruction: int
    annotator: int
    label: float


def given_ratings(ledger: Ledger, wanted: RowFilter) -> Iterator[GivenRating]:
    """Stream the ratings that a filter chooses."""
    query = (
        select(OUTPUT.c.id, OUTPUT.c.instruction_id, RATING.c.annotator_id, RATING.c.label)
        .join(RATING, OUTPUT.c.id == RATING.c.output_id)
        .join(ANNOTATOR, ANNOTATOR.c.id == RATING.c.annotator_id)
    )
    for row in ledger.stream(_chosen(query, wanted)):
        yield GivenRating(*row)


def choose_ratings(ledger: Ledger, wanted: RowFilter) -> ChosenRatings:
    """The ratings that a filter chooses."""
    query = select(RATING.c.id, RATING.c.key).join(ANNOTATOR, ANNOTATOR.c.id == RATING.c.annotator_id)
    found = [(int(number), str(key)) for number, key in ledger.stream(_chosen(query, wanted))]
    key = content_hash("snapshot of ratings", sorted(key for _, key in found))
    return ChosenRatings(tuple(number for number, _ in found), key)


def rated(ledger: Ledger, snapshot_id: int) -> Iterator[Rated]:
    """Stream a snapshot's outputs, each once, in an order that depends on their content alone.

    Equal texts that answer one instruction are one output, whoever wrote them.
    """
    for instruction, output, given in _given(ledger, snapshot_id):
        by_annotator: dict[str, list[float]] = {}
        for each in given:
            by_annotator.setdefault(each.annotator, []).append(each.label)
        yield Rated(instruction, output, fmean(map(fmean, by_annotator.values())))


def rated_attributes(ledger: Ledger, snapshot_id: int) -> Iterator[RatedAttributes]:
    """Stream a snapshot's outputs with their attributes, in the order of `rated`."""
    for instruction, output, given in _given(ledger, snapshot_id):
        found: dict[str, dict[str, list[float]]] = {}
        for each in given:
            found.setdefault(each.attribute, {}).setdefault(each.annotator, []).append(each.label)
        means = {name: fmean(map(fmean, voices.values())) for name, voices in sorted(found.items())}
        yield RatedAttributes(instruction, output, means)


class _Given(NamedTuple):
    annotator: str
    attribute: str
    label: float


def _given(ledger: Ledger, snapshot_id: int) -> Iterator[tuple[Instruction, str, list[_Given]]]:
    """Every output of a snapshot with all that was said of it."""
    query = (
        select(*ASKED, OUTPUT.c.text, ANNOTATOR.c.key, RATING.c.label, RATING.c.subset)
        .join(SNAPSHOT_RATING, SNAPSHOT_RATING.c.rating_id == RATING.c.id)
        .join(OUTPUT, OUTPUT.c.id == RATING.c.output_id)
        .join(INSTRUCTION, INSTRUCTION.c.id == OUTPUT.c.instruction_id)
        .join(ANNOTATOR, ANNOTATOR.c.id == RATING.c.annotator_id)
        .where(SNAPSHOT_RATING.c.snapshot_id == snapshot_id)
        .order_by(RATING.c.key)
    )
    found: dict[tuple[Instruction, str], list[_Given]] = {}
    for row in ledger.stream(query):
        said = _Given(row.key, row.subset or WHOLE, row.label)
        found.setdefault((instruction_of(row), row.text), []).append(said)
    for (instruction, output), given in found.items():
        yield instruction, output, given


@dataclass(frozen=True)
class RatingRows:
    """Streams the ratings that a filter chooses, as they were written, each time that it is iterated."""

    ledger: Ledger
    wanted: RowFilter

    def __iter__(self) -> Iterator[RatedOutput]:
        return _streamed(self.ledger, self.wanted)


def _streamed(ledger: Ledger, wanted: RowFilter) -> Iterator[RatedOutput]:
    rating = RATING.c
    query = (
        select(
            rating.label, rating.source, rating.subset, rating.name.label("item"), rating.raw, rating.meta,
            OUTPUT.c.text.label("output"), OUTPUT.c.producer, OUTPUT.c.turns, *ASKED,
            ANNOTATOR.c.name.label("annotator"), ANNOTATOR.c.kind,
        )
        .join(OUTPUT, OUTPUT.c.id == rating.output_id)
        .join(INSTRUCTION, INSTRUCTION.c.id == OUTPUT.c.instruction_id)
        .join(ANNOTATOR, ANNOTATOR.c.id == rating.annotator_id)
    )  # fmt: skip
    for row in ledger.stream(_chosen(query, wanted)):
        asked = instruction_of(row)
        yield RatedOutput(
            source=row.source,
            instruction=asked.text,
            input=asked.input,
            turns=asked.turns,
            output=row.output,
            output_turns=turns_from_json(row.turns),
            annotator=row.annotator,
            annotator_kind=AnnotatorKind(row.kind),
            label=row.label,
            model=row.producer or None,
            subset=row.subset,
            name=row.item,
            raw=None if row.raw is None else json.loads(row.raw),
            meta=json.loads(row.meta) if row.meta else {},
        )


def _chosen(query: Query, wanted: RowFilter) -> Query:
    """A query for ratings and their annotators, cut to what a filter chooses, in the order of writing."""
    for column, value in ((RATING.c.source, wanted.source), (RATING.c.subset, wanted.subset)):
        query = query if value is None else query.where(column == value)
    if wanted.annotators:
        query = query.where(ANNOTATOR.c.name.in_(wanted.annotators))
    return query.order_by(RATING.c.id)
