"""The facts of the ledger as frozen dataclasses: what crosses the ledger's door in either direction.

A record's `key` is its identity: a hash of its content, the same in every ledger. Integer ids exist only
inside one ledger; a record that was not read from a ledger has id 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from db.ids import Json, canonical_json, content_hash


class AnnotatorKind(StrEnum):
    """Who judges. People are annotators like any other."""

    HUMAN = "human"
    LLM = "llm"
    REWARD_MODEL = "rm"
    GOLD = "gold"  # right by construction, or verified by an expert
    RULE = "rule"  # a baseline with no model


class ProducerKind(StrEnum):
    """Who wrote an output."""

    MODEL = "model"
    REFERENCE = "reference"  # a demonstration


class Use(StrEnum):
    """What the instructions of a named set are for."""

    TRAIN = "train"
    VALIDATION = "validation"
    EVAL = "eval"


class Status(StrEnum):
    """What became of a judgement; preference is NULL unless it is OK."""

    OK = "ok"
    UNREADABLE = "unreadable"  # a reply came, no verdict could be read from it
    FAILED = "failed"  # no usable reply came
    SPARED = "spared"  # not asked: label noise replaces the judgement; there is a label
    RETRACTED = "retracted"  # taken back by the person who gave it


@dataclass(frozen=True)
class Instruction:
    """What a model was asked: an instruction and its optional input."""

    text: str
    input: str = ""

    @cached_property
    def key(self) -> str:
        return content_hash("instruction", [self.text, self.input])


@dataclass(frozen=True)
class Output:
    """One answer to an instruction. `sample` numbers the draws of one producer with one decoding."""

    instruction: Instruction
    text: str
    producer: str = ""  # empty where an import does not say
    producer_kind: ProducerKind = ProducerKind.MODEL
    decoding: str = ""  # canonical JSON of the sampling settings; empty where unknown
    sample: int = 0

    @cached_property
    def key(self) -> str:
        parts: list[Json] = [self.text, self.producer, str(self.producer_kind), self.decoding, self.sample]
        return content_hash("output", [self.instruction.key, *parts])


@dataclass(frozen=True)
class Pair:
    """Two outputs to one instruction in canonical order: A,B and B,A are one pair. Build with `of`."""

    output_a: Output
    output_b: Output
    id: int = 0

    @classmethod
    def of(cls, output_1: Output, output_2: Output) -> tuple[Pair, bool]:
        """The pair of two outputs, and whether it is flipped: output_1 became output_b."""
        if output_1.instruction.key != output_2.instruction.key:
            raise ValueError("a pair's outputs answer one instruction")
        flipped = output_2.key < output_1.key
        return (cls(output_2, output_1) if flipped else cls(output_1, output_2)), flipped

    @property
    def instruction(self) -> Instruction:
        return self.output_a.instruction

    @cached_property
    def key(self) -> str:
        return content_hash("pair", [self.output_a.key, self.output_b.key])


@dataclass(frozen=True)
class AnnotatorCard:
    """An annotator as the ledger knows it: `spec` holds everything that can change a judgement."""

    name: str
    kind: AnnotatorKind
    spec: Mapping[str, Json] = field(default_factory=dict)
    id: int = 0

    @cached_property
    def spec_json(self) -> str:
        return canonical_json(self.spec)

    @cached_property
    def key(self) -> str:
        return content_hash("annotator", [self.name, str(self.kind), self.spec])


@dataclass(frozen=True)
class Item:
    """An imported question: one (instruction, output_1, output_2) as its source numbered it."""

    source: str
    name: str
    pair: Pair
    flipped: bool  # the source's output_1 is the pair's output_b
    subset: str | None = None
    instruction_ref: str | None = None  # the source's own name for the instruction

    @cached_property
    def key(self) -> str:
        names = [self.source, self.subset, self.name, self.instruction_ref]
        return content_hash("item", [self.pair.key, self.flipped, *names])


@dataclass(frozen=True)
class SourceFile:
    """A file that was imported: its format, its name and the SHA-256 of its bytes."""

    format: str
    name: str
    sha256: str

    @cached_property
    def key(self) -> str:
        return content_hash("file", [self.format, self.sha256])


@dataclass(frozen=True)
class Membership:
    """An instruction's place in a named set: a split, a benchmark, a source."""

    instruction: Instruction
    set_name: str
    use: Use | None = None
    category: str | None = None
    name: str | None = None  # the set's own name for the instruction
    meta: str | None = None  # canonical JSON

    @cached_property
    def key(self) -> str:
        names = [self.set_name, self.use and str(self.use), self.category, self.name, self.meta]
        return content_hash("membership", [self.instruction.key, *names])


@dataclass(frozen=True, slots=True)
class Annotation:
    """One judgement of one pair. Facts of the judgement alone: who, what, in which order, what came out."""

    pair_id: int
    annotator_id: int
    preference: float | None  # P(output_a ≻ output_b); None unless status is OK
    label: float | None  # the preference after label noise; what training sees
    swapped: bool | None  # output_b was shown first; None where an import does not say
    status: Status = Status.OK
    reason: str | None = None  # why the status is not OK
    replicate: int = 0  # k-th independent judgement by the same annotator
    attempt: int = 0  # readers take the latest
    item_id: int | None = None  # the imported item it came with
    completion_id: int | None = None  # the claim whose completion it was read from
    slot: int | None = None  # its place in that request


@dataclass(frozen=True, slots=True)
class Imported:
    """What an imported row carried beside its judgement. Money in US dollars, time in seconds."""

    file_id: int
    preference_raw: str | None = None  # JSON, in the coding of the source
    scores: str | None = None  # JSON list in the row's order
    raw_completion: str | None = None
    price: float | None = None
    seconds: float | None = None
    meta: str | None = None  # canonical JSON


@dataclass(frozen=True, slots=True)
class Slot:
    """One pair of a request: which, the k-th time, and whether output_b was shown first."""

    pair_id: int
    replicate: int
    swapped: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """What is about to be asked. `request` is its canonical JSON; `run` says who asks."""

    request_key: str
    draw_key: str
    run: str
    request: str
    slots: tuple[Slot, ...]
    attempt: int = 0
    id: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What came of a claim: a reply or a failure with a name, and what it cost (US dollars, seconds)."""

    claim_id: int
    text: str
    failure: str | None = None
    detail: str = ""
    finish_reason: str | None = None
    model: str | None = None  # as the server named it
    top_logprobs: str | None = None  # JSON: alternatives at the first positions
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    sendings: int = 1
    unmetered: int = 0  # of the sendings, those that may have been billed without our being told
    cost: float | None = None  # None: the price is unknown
    cost_bound: float | None = None  # with the unmetered sendings at their worst
    seconds: float = 0.0
    warnings: str = ""  # names, comma-separated


@dataclass(frozen=True, slots=True)
class Run:
    """A training run: what it was told, started from and learns from. `started` is UTC, ISO 8601."""

    command: str
    config: str  # canonical JSON
    version: str  # of this package
    model: str
    folder: str
    started: str
    seed: int
    snapshot_id: int | None = None
    set_name: str | None = None
