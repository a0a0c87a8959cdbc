"""Rows of file formats as plain records, which every reader returns and every writer takes.

A preference is P(output_1 preferred) in [0, 1]. The codes of other tools (1/2/0, 1.5, -1) exist in the
readers and writers of this room alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from db.ids import Json
from db.records import AnnotationStatus, AnnotatorKind, AspectVerdict, Degree, ProducerKind, Turn, Use

Numbered: TypeAlias = tuple[int, dict[str, Any]]  # number of the line or row, from 1; the object


class OutputOrigin(NamedTuple):
    """How an output came to be: kind of producer, decoding as canonical JSON, number of the draw."""

    kind: ProducerKind = ProducerKind.MODEL
    decoding: str = ""
    sample: int = 0


class MadeOf(NamedTuple):
    """A judgement of the same pair that another one was made of, by what it answers."""

    annotator: str  # the annotator's key
    replicate: int
    order_swapped: bool | None  # output_2 was shown first
    attempt: int


class MadeHere(NamedTuple):
    """What a judgement has beside the fields of a row where the farm made it. It belongs to no one item."""

    annotator: str  # the annotator's key
    status: AnnotationStatus
    label: float | None  # P(output_1 preferred) after label noise
    attempt: int = 0
    drawn: tuple[OutputOrigin, OutputOrigin] = (OutputOrigin(), OutputOrigin())  # of output_1, output_2
    spec: Mapping[str, Json] | None = None  # of the annotator; only its first row in a file has it
    parts: tuple[MadeOf, ...] = ()  # what a panel or a cascade made it of


class PreferenceRow(NamedTuple):
    """One judgement of one question; output_1 and output_2 are as in the source."""

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
    instruction_id: str | None = None  # the source's own name for the instruction
    output_1_model: str | None = None
    output_2_model: str | None = None
    reason: str | None = None  # why there is no preference
    preference_raw: str | float | None = None  # in the coding of the source
    order_swapped: bool | None = None  # output_2 was shown first; None where the source does not say
    raw_completion: str | None = None
    scores: tuple[float | None, ...] | None = None  # of output_1, output_2
    meta: Mapping[str, Json] = MappingProxyType({})
    degree: Degree | None = None  # how much better; None where the source does not say
    aspects: tuple[AspectVerdict, ...] = ()  # verdicts on single criteria; a is output_1, b is output_2
    replicate: int = 0
    price: float | None = None  # US dollars
    seconds: float | None = None
    made: MadeHere | None = None  # None where the judgement came from a file of another tool
    turns: tuple[Turn, ...] = ()  # of a conversation; its transcript is the instruction
    turns_1: tuple[Turn, ...] = ()  # of output_1, where it has several; it is their transcript
    turns_2: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedPair:
    """A pair of outputs that nobody has judged yet."""

    source: str
    instruction: str
    input: str
    output_1: str
    output_2: str
    output_1_model: str | None = None
    output_2_model: str | None = None
    subset: str | None = None
    item_id: str | None = None
    instruction_id: str | None = None  # the source's own name for the instruction
    turns: tuple[Turn, ...] = ()
    turns_1: tuple[Turn, ...] = ()
    turns_2: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedOutput:
    """One model's answer, or a demonstration."""

    instruction: str
    input: str
    output: str
    model: str
    kind: ProducerKind = ProducerKind.MODEL
    set_name: str | None = None
    name: str | None = None  # the set's own name for the instruction
    turns: tuple[Turn, ...] = ()
    output_turns: tuple[Turn, ...] = ()  # of the output, where it has several; it is their transcript


@dataclass(frozen=True, slots=True)
class RatedOutput:
    """One output, judged alone."""

    source: str
    instruction: str
    input: str
    output: str
    annotator: str
    annotator_kind: AnnotatorKind
    label: float  # how good the output is, in [0, 1]
    model: str | None = None
    subset: str | None = None
    name: str | None = None  # the source's own name for the row
    raw: str | float | None = None  # the label in the coding of the source
    meta: Mapping[str, Json] = field(default_factory=dict)
    set_name: str | None = None  # the set that the user puts the instruction into
    turns: tuple[Turn, ...] = ()
    output_turns: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedInstruction:
    """An instruction of a named set."""

    instruction: str
    input: str
    set_name: str
    use: Use | None = None
    category: str | None = None
    name: str | None = None
    meta: Mapping[str, Json] = field(default_factory=dict)
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that a reader refused, and why."""

    row: int  # number of the line or row in the file, from 1
    reason: str
    file: str = ""  # set by the import
    is_end: bool = False  # the file was not read beyond this row


Entry: TypeAlias = PreferenceRow | RatedOutput | ImportedPair | ImportedOutput | ImportedInstruction


class Placed(NamedTuple):
    """What a reader made of a row, and where the row stands."""

    file: str
    row: int  # number of the line or row in the file, from 1
    entry: Entry | Refusal


@dataclass(frozen=True, slots=True)
class TableMap:
    """Which column of a table fills which place, and P(output_1 preferred) of each value of its verdicts.

    degrees: how much better a value says that the preferred output is.
    """

    columns: Mapping[str, str]  # place -> column
    codes: Mapping[str, float | None] = field(default_factory=dict)
    degrees: Mapping[str, Degree] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Values that the user sets for all rows of a file. None: the row's value, or the format's default."""

    source: str | None = None
    annotator: str | None = None
    annotator_kind: AnnotatorKind | None = None
    set_name: str | None = None
    use: Use | None = None
    table: TableMap | None = None  # of the format `table`
