"""What training reads from the ledger: snapshots of judgements, demonstrations and instructions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isnan
from statistics import fmean
from typing import NamedTuple

import numpy as np
import pandas as pd
from sqlalchemy import Select, cast, func, null, select

from db.ids import Json, canonical_json, content_hash
from db.instruction_rows import ASKED, instruction_of
from db.ledger import Ledger
from db.queries.aspects import speaks_of
from db.queries.orders import averaged_over_orders
from db.records import AnnotationStatus, Instruction, ProducerKind, Use
from db.tables import (
    ANNOTATION,
    ANNOTATOR,
    ASPECT,
    INSTRUCTION,
    ITEM,
    MEMBERSHIP,
    OUTPUT,
    PAIR,
    REAL,
    SNAPSHOT,
    SNAPSHOT_RATING,
    SNAPSHOT_ROW,
    STRENGTH,
)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A judged pair as training sees it: one row, whoever judged it and how often.

    label: P(output_a preferred) after label noise, the mean over annotators of each annotator's mean.
    strength: how much better the output is that the label prefers, as a share of the scale: the mean, over
    the annotators that say so, of each one's mean; 0 where nobody does, or where the strong ones contradict.
    """

    instruction: Instruction
    output_a: str
    output_b: str
    label: float
    strength: float = 0.0


@dataclass(frozen=True, slots=True)
class Demonstrated:
    """An instruction and a reference answer to it."""

    instruction: Instruction
    output: str


@dataclass(frozen=True, slots=True)
class Authored:
    """An instruction and what models wrote to it, by author: a producer with one of its decodings."""

    instruction: Instruction
    authors: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class SnapshotCard:
    """A snapshot as the ledger stores it. rows: the number of its judgements, or of its ratings."""

    id: int
    key: str
    name: str
    choice: str  # canonical JSON
    rows: int
    unpaired: bool = False  # it has ratings of single outputs


@dataclass(frozen=True, slots=True)
class Chosen:
    """The judgements that a snapshot would freeze."""

    annotation_ids: tuple[int, ...]
    key: str  # hash of their content
    identical: int  # number of judgements left out because both texts of the pair are equal


def choose(
    ledger: Ledger,
    annotators: Sequence[str],
    source: str | None,
    subset: str | None,
    average_orders: bool = False,
    aspect: str | None = None,
) -> Chosen:
    """Choose the latest labelled judgements of these annotators, in a source and subset.

    Where no annotator is named, all count; None means any source or subset. average_orders: of a pair that
    was judged in both orders, keep both judgements or neither; see db/queries/orders.py. aspect: the label is
    the verdict on this criterion, which has no label noise.
    """
    a, b = OUTPUT.alias(), OUTPUT.alias()
    row = ANNOTATION.c
    label = ASPECT.c.preference.label("label") if aspect else row.label
    query = (
        select(
            row.id, row.attempt, row.replicate, row.swapped, row.status, label, row.item_id,
            PAIR.c.key.label("pair"), ANNOTATOR.c.key.label("annotator"), ITEM.c.key.label("item"),
            (a.c.text == b.c.text).label("identical"),
        )
        .join(PAIR, PAIR.c.id == row.pair_id)
        .join(a, a.c.id == PAIR.c.output_a_id)
        .join(b, b.c.id == PAIR.c.output_b_id)
        .join(ANNOTATOR, ANNOTATOR.c.id == row.annotator_id)
        .outerjoin(ITEM, ITEM.c.id == row.item_id)
        .order_by(row.attempt, row.id)
    )  # fmt: skip
    if aspect:
        query = query.outerjoin(ASPECT, speaks_of(aspect))
    if annotators:
        query = query.where(ANNOTATOR.c.name.in_(annotators))
    if source is not None or subset is not None:
        query = query.where(row.pair_id.in_(_pairs_from(source, subset)))
    latest: dict[tuple[object, ...], tuple[int, bool, Json]] = {}
    unlabelled: set[tuple[object, ...]] = set()
    for each in ledger.stream(query):
        asked = (each.pair, each.annotator, each.item, each.replicate, each.swapped)
        content: Json = [*asked, each.attempt, each.label]
        latest.pop(asked, None)
        unlabelled.discard(asked)
        if each.status == AnnotationStatus.RETRACTED.value:
            continue
        if each.label is None:
            unlabelled.add(asked)
        else:
            latest[asked] = (each.id, bool(each.identical), content)
    if average_orders:
        for *question, swapped in unlabelled:
            if swapped is not None:
                latest.pop((*question, not swapped), None)
    kept = sorted((entry for entry in latest.values() if not entry[1]), key=lambda entry: entry[0])
    contents = sorted((entry[2] for entry in kept), key=str) + ["orders averaged"] * average_orders
    contents += [["aspect", aspect]] if aspect else []
    return Chosen(
        tuple(entry[0] for entry in kept), content_hash("snapshot", contents), len(latest) - len(kept)
    )


def _pairs_from(source: str | None, subset: str | None) -> Select[tuple[int]]:
    """The ids of the pairs of a source and subset; None means any."""
    items = select(ITEM.c.pair_id)
    for column, value in ((ITEM.c.source, source), (ITEM.c.subset, subset)):
        items = items if value is None else items.where(column == value)
    return items


def snapshots(ledger: Ledger) -> list[SnapshotCard]:
    """Every snapshot with its number of rows."""
    pairs, outputs = (
        select(func.count()).where(of.c.snapshot_id == SNAPSHOT.c.id).scalar_subquery()
        for of in (SNAPSHOT_ROW, SNAPSHOT_RATING)
    )
    query = select(SNAPSHOT.c.id, SNAPSHOT.c.key, SNAPSHOT.c.name, SNAPSHOT.c.choice, pairs, outputs)
    return [
        SnapshotCard(number, key, name, choice, rows=of_pairs + of_outputs, unpaired=of_outputs > 0)
        for number, key, name, choice, of_pairs, of_outputs in ledger.stream(query.order_by(SNAPSHOT.c.id))
    ]


def labelled(ledger: Ledger, snapshot_id: int) -> Iterator[Labelled]:
    """Stream a snapshot's pairs, each once, in an order that depends on their content alone.

    Judgements of the same two texts to one instruction are one row: replicates, both orders, several
    annotators, several items and sources. Every annotator weighs the same in its label, and every row weighs
    the same in training.
    """
    for (instruction, first, second), given in _voted(ledger, snapshot_id):
        label = fmean(fmean(said.label for said in mine) for mine in given.values())
        leads = [[said.lead for said in mine if said.lead is not None] for mine in given.values()]
        lead = fmean(map(fmean, filter(None, leads))) if any(leads) else 0.0
        strength = max(0.0, lead if label > 0.5 else -lead) if label != 0.5 else 0.0
        yield Labelled(instruction, first, second, label, strength=strength)


def votes(ledger: Ledger, snapshot_id: int) -> Iterator[list[float]]:
    """Stream the labels of each pair of a snapshot, one for each judgement: P(the first output preferred)."""
    for _, given in _voted(ledger, snapshot_id):
        yield [said.label for mine in given.values() for said in mine]


class _Said(NamedTuple):
    """A judgement of a snapshot. label: P(output_a preferred). lead: by how much output_a is better, as a
    share of the scale, below 0 where it is worse; None where the judgement does not say."""

    label: float
    lead: float | None

    @property
    def turned(self) -> _Said:
        """The same with output_a and output_b exchanged."""
        return _Said(1 - self.label, None if self.lead is None else -self.lead)


def _voted(
    ledger: Ledger, snapshot_id: int
) -> Iterator[tuple[tuple[Instruction, str, str], dict[str, list[_Said]]]]:
    """Each pair of a snapshot, and what each annotator said of it."""
    given: dict[tuple[str, frozenset[str]], dict[str, list[_Said]]] = {}
    rows: dict[tuple[str, frozenset[str]], tuple[Instruction, str, str]] = {}
    for annotator, (instruction, output_a, output_b), said in _judged(ledger, snapshot_id):
        key = instruction.key, frozenset((output_a, output_b))
        _, first, _ = rows.setdefault(key, (instruction, output_a, output_b))
        mine = given.setdefault(key, {}).setdefault(annotator, [])
        mine.append(said if output_a == first else said.turned)
    for key, row_of in rows.items():
        yield row_of, given[key]


def _judged(ledger: Ledger, snapshot_id: int) -> Iterator[tuple[str, tuple[Instruction, str, str], _Said]]:
    """Each judgement of a snapshot, with the key of its annotator and its pair."""
    labels = _labels(ledger, snapshot_id)
    a, b = OUTPUT.alias(), OUTPUT.alias()
    query = (
        select(*ASKED, a.c.text.label("text_a"), b.c.text.label("text_b"), ANNOTATION.c.id, ANNOTATOR.c.key)
        .join(SNAPSHOT_ROW, SNAPSHOT_ROW.c.annotation_id == ANNOTATION.c.id)
        .join(PAIR, PAIR.c.id == ANNOTATION.c.pair_id)
        .join(a, a.c.id == PAIR.c.output_a_id)
        .join(b, b.c.id == PAIR.c.output_b_id)
        .join(INSTRUCTION, INSTRUCTION.c.id == a.c.instruction_id)
        .join(ANNOTATOR, ANNOTATOR.c.id == ANNOTATION.c.annotator_id)
        .where(SNAPSHOT_ROW.c.snapshot_id == snapshot_id)
        .order_by(PAIR.c.key, ANNOTATOR.c.key, ANNOTATION.c.replicate, ANNOTATION.c.swapped, ANNOTATION.c.id)
    )
    for each in ledger.stream(query):
        if each.id in labels:
            yield each.key, (instruction_of(each), each.text_a, each.text_b), labels[each.id]


def _labels(ledger: Ledger, snapshot_id: int) -> dict[int, _Said]:
    """What was said, by annotation id. Where the snapshot averages orders, one annotation stands for both.

    Of a snapshot of an aspect, the label is the verdict on it, which has no strength.
    """
    row = ANNOTATION.c
    chosen = list(ledger.stream(select(SNAPSHOT.c.choice).where(SNAPSHOT.c.id == snapshot_id)))
    choice = json.loads(chosen[0].choice)
    aspect = choice.get("aspect")
    label = ASPECT.c.preference if aspect else row.label
    names = ("id", "pair", "annotator", "item", "replicate", "swapped", "label", "strength")
    strength = null() if aspect else STRENGTH.c.steps / cast(STRENGTH.c.levels, REAL)
    columns = (
        row.id, row.pair_id, row.annotator_id, func.coalesce(row.item_id, 0), row.replicate,
        func.coalesce(row.swapped, -1), label, strength,
    )  # fmt: skip
    members = select(SNAPSHOT_ROW.c.annotation_id).where(SNAPSHOT_ROW.c.snapshot_id == snapshot_id)
    query = (
        select(*columns).outerjoin(STRENGTH, STRENGTH.c.annotation_id == row.id).where(row.id.in_(members))
    )
    query = query.join(ASPECT, speaks_of(aspect)) if aspect else query
    frame = pd.DataFrame([tuple(each) for each in ledger.stream(query)], columns=list(names))
    frame["lead"] = np.sign(frame["label"].astype(float) - 0.5) * frame["strength"].astype(float)
    if choice.get("average_orders"):
        frame = averaged_over_orders(frame, names[1:5], ("label", "lead"))
    rows = zip(frame["id"], frame["label"], frame["lead"], strict=True)
    return {
        int(number): _Said(float(label), None if isnan(lead) else float(lead)) for number, label, lead in rows
    }


def demonstrated(ledger: Ledger, set_name: str) -> Iterator[Demonstrated]:
    """Stream the reference answers to the instructions of a set, each once."""
    query = (
        select(*ASKED, OUTPUT.c.text)
        .join(OUTPUT, OUTPUT.c.instruction_id == INSTRUCTION.c.id)
        .where(
            INSTRUCTION.c.id.in_(_members(set_name)),
            OUTPUT.c.producer_kind == ProducerKind.REFERENCE.value,
        )
        .order_by(OUTPUT.c.id)
    )
    for each in ledger.stream(query):
        yield Demonstrated(instruction_of(each), each.text)


def written(ledger: Ledger, set_name: str) -> Iterator[Authored]:
    """Stream what models wrote to the instructions of a set, an instruction after the other."""
    query = (
        select(*ASKED, OUTPUT.c.text, OUTPUT.c.producer, OUTPUT.c.decoding, INSTRUCTION.c.id)
        .join(OUTPUT, OUTPUT.c.instruction_id == INSTRUCTION.c.id)
        .where(
            INSTRUCTION.c.id.in_(_members(set_name)),
            OUTPUT.c.producer_kind == ProducerKind.MODEL.value,
        )
        .order_by(INSTRUCTION.c.id, OUTPUT.c.id)
    )
    for _, rows in groupby(ledger.stream(query), key=lambda row: row.id):
        authors: dict[str, list[str]] = {}
        for each in rows:
            authors.setdefault(canonical_json([each.producer, each.decoding]), []).append(each.text)
        yield Authored(instruction_of(each), authors)


def instructed(ledger: Ledger, set_name: str) -> Iterator[Instruction]:
    """Stream the instructions of a set, each once."""
    query = select(*ASKED).where(INSTRUCTION.c.id.in_(_members(set_name)))
    for each in ledger.stream(query.order_by(INSTRUCTION.c.id)):
        yield instruction_of(each)


def set_apart(ledger: Ledger) -> frozenset[str]:
    """The keys of the instructions that stand in a set for evaluation or validation."""
    query = select(INSTRUCTION.c.key).join(MEMBERSHIP, MEMBERSHIP.c.instruction_id == INSTRUCTION.c.id)
    wanted = MEMBERSHIP.c.use.in_([Use.EVAL.value, Use.VALIDATION.value])
    return frozenset(each.key for each in ledger.stream(query.where(wanted)))


def _members(set_name: str):  # type: ignore[no-untyped-def]
    return select(MEMBERSHIP.c.instruction_id).where(MEMBERSHIP.c.set_name == set_name)
