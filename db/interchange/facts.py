"""What rows say, as the ledger's facts.

The facts of one pair share their instruction and outputs, so that each is hashed once.
"""

from __future__ import annotations

import json
from functools import lru_cache

from db.ids import Json, canonical_json
from db.interchange.made_here import MADE
from db.interchange.rows import (
    ImportedInstruction,
    ImportedOutput,
    ImportedPair,
    OutputOrigin,
    PreferenceRow,
    RatedOutput,
)
from db.records import (
    Annotation,
    AnnotationStatus,
    AnnotatorCard,
    AnnotatorKind,
    Imported,
    Instruction,
    Item,
    Membership,
    Output,
    Pair,
    Rating,
    Turn,
)


@lru_cache(maxsize=4_096)
def _instruction(text: str, input: str, turns: tuple[Turn, ...]) -> Instruction:
    return Instruction.of_turns(turns) if turns else Instruction(text, input)


@lru_cache(maxsize=4_096)
def _answer(
    instruction: Instruction, text: str, producer: str, drawn: OutputOrigin, *, turns: tuple[Turn, ...]
) -> Output:
    return Output(instruction, text, producer, *drawn, turns=turns)


@lru_cache(maxsize=4_096)
def _pair_of(output_1: Output, output_2: Output) -> tuple[Pair, bool]:
    return Pair.of(output_1, output_2)


def pair(row: PreferenceRow | ImportedPair) -> tuple[Pair, bool]:
    """The row's pair in canonical order, and whether its output_1 is the pair's output_b."""
    asked = _instruction(row.instruction, row.input, row.turns)
    made = row.made if isinstance(row, PreferenceRow) else None
    first, second = made.drawn if made else (OutputOrigin(), OutputOrigin())
    return _pair_of(
        _answer(asked, row.output_1, row.output_1_model or "", first, turns=row.turns_1),
        _answer(asked, row.output_2, row.output_2_model or "", second, turns=row.turns_2),
    )


def item(row: PreferenceRow | ImportedPair, asked: Pair, flipped: bool) -> Item:
    """The question that the row's source asks of the pair."""
    name = asked.key if row.item_id is None else row.item_id
    return Item(
        source=row.source,
        name=name,
        pair=asked,
        flipped=flipped,
        subset=row.subset,
        instruction_ref=row.instruction_id,
    )


def annotator(row: PreferenceRow | RatedOutput) -> AnnotatorCard:
    """Who judged."""
    made = row.made.annotator if isinstance(row, PreferenceRow) and row.made else None
    return _card(row.annotator, row.annotator_kind, made)


@lru_cache(maxsize=256)
def _card(name: str, kind: AnnotatorKind, made: str | None) -> AnnotatorCard:
    return AnnotatorCard(name, kind, {"imported": True} if made is None else stand_in(made))


def stand_in(maker: str) -> dict[str, Json]:
    """The spec of an annotator that stands for the one of this key, of which no more is known."""
    return {"imported": True, MADE: maker}


def own_annotator(row: PreferenceRow) -> AnnotatorCard | None:
    """The annotator as it is known where it judged; None where the row has no spec of it."""
    if row.made is None or row.made.spec is None:
        return None
    return AnnotatorCard(row.annotator, row.annotator_kind, row.made.spec)


def turned_order(swapped: bool | None, flipped: bool) -> bool | None:
    """Whether the second output was shown first, for outputs that are exchanged where `flipped`."""
    return None if swapped is None else bool(swapped) != flipped


def annotation(
    row: PreferenceRow, flipped: bool, pair_id: int, annotator_id: int, item_id: int | None
) -> Annotation:
    """The judgement of the pair in canonical order."""
    given = (row.preference, row.made.label if row.made else row.preference)
    preference, label = (each if each is None or not flipped else 1 - each for each in given)
    status = AnnotationStatus.UNREADABLE if preference is None else AnnotationStatus.OK
    return Annotation(
        pair_id=pair_id,
        annotator_id=annotator_id,
        preference=preference,
        label=label,
        swapped=turned_order(row.order_swapped, flipped),
        status=row.made.status if row.made else status,
        reason=row.reason,
        strength=row.degree,
        aspects=tuple(each.turned if flipped else each for each in row.aspects),
        replicate=row.replicate,
        attempt=row.made.attempt if row.made else 0,
        item_id=item_id,
    )


def imported(row: PreferenceRow, file_id: int) -> Imported:
    """What the row carries beside its judgement."""
    return Imported(
        file_id=file_id,
        preference_raw=None if row.preference_raw is None else json.dumps(row.preference_raw),
        scores=None if row.scores is None else json.dumps(list(row.scores)),
        raw_completion=row.raw_completion,
        price=row.price,
        seconds=row.seconds,
        meta=canonical_json(row.meta) if row.meta else None,
    )


def rating(row: RatedOutput) -> Rating:
    """The judgement of an output alone."""
    asked = _instruction(row.instruction, row.input, row.turns)
    rated = Output(asked, row.output, row.model or "", turns=row.output_turns)
    return Rating(
        rated,
        annotator(row),
        label=row.label,
        source=row.source,
        subset=row.subset,
        name=row.name,
        raw=None if row.raw is None else json.dumps(row.raw),
        meta=canonical_json(row.meta) if row.meta else None,
    )


def output(row: ImportedOutput) -> Output:
    """The output."""
    asked = _instruction(row.instruction, row.input, row.turns)
    return Output(asked, row.output, row.model, row.kind, turns=row.output_turns)


def membership(row: ImportedOutput | RatedOutput | ImportedInstruction) -> Membership | None:
    """The row's place in its set; None where it names no set."""
    if row.set_name is None:
        return None
    instruction = _instruction(row.instruction, row.input, row.turns)
    if not isinstance(row, ImportedInstruction):
        return Membership(instruction, row.set_name, name=row.name)
    meta = canonical_json(row.meta) if row.meta else None
    return Membership(
        instruction=instruction,
        set_name=row.set_name,
        use=row.use,
        category=row.category,
        name=row.name,
        meta=meta,
    )
