"""Rows of the field's file formats, as plain records: what every reader gives and every writer takes.

Preference is P(output_1 preferred) in [0, 1] here as everywhere; the codes of other tools (1/2/0, 1.5, -1)
exist in this package alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from db.ids import Json
from db.records import AnnotatorKind, ProducerKind, Use


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """One judgement of one question, in the orientation of its source."""

    source: str
    instruction: str
    input: str
    output_1: str
    output_2: str
    annotator: str
    annotator_kind: AnnotatorKind
    preference: float | None  # P(output_1 preferred); None where no verdict could be read
    subset: str | None = None
    item_id: str | None = None  # None where the format numbers no items
    instruction_id: str | None = None  # the source's own
    output_1_model: str | None = None
    output_2_model: str | None = None
    reason: str | None = None  # why there is no preference
    preference_raw: str | float | None = None  # in the coding of the source
    order_swapped: bool | None = None  # output_2 was shown first; None where the source does not say
    raw_completion: str | None = None
    scores: tuple[float | None, ...] | None = None  # of output_1, output_2
    meta: Mapping[str, Json] = field(default_factory=dict)
    replicate: int = 0
    price: float | None = None  # US dollars
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class OutputRow:
    """One model's answer, or a demonstration."""

    instruction: str
    input: str
    output: str
    model: str
    kind: ProducerKind = ProducerKind.MODEL
    set_name: str | None = None
    name: str | None = None  # the set's own name for the instruction


@dataclass(frozen=True, slots=True)
class InstructionRow:
    """An instruction of a named set."""

    instruction: str
    input: str
    set_name: str
    use: Use | None = None
    category: str | None = None
    name: str | None = None
    meta: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was not taken, and why."""

    row: int  # 1-based: line or row of the file
    reason: str


Row: TypeAlias = PreferenceRow | OutputRow | InstructionRow


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the user says of files whose format does not say it; None leaves it to the file."""

    source: str | None = None
    annotator: str | None = None
    annotator_kind: AnnotatorKind | None = None
    set_name: str | None = None
    use: Use | None = None
