"""The facts of the ledger as frozen dataclasses. `Ledger` returns them and `Writer` takes them.

A record's `key` is its identity: a hash of its content (db/ids.py), the same in every ledger. Integer ids
are valid inside one ledger only. A record that was not read from a ledger has id 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from db.ids import Json, canonical_json, content_hash
from db.turns import Turn as Turn
from db.turns import TurnRole as TurnRole
from db.turns import transcript as transcript
from db.turns import turns_from_json as turns_from_json
from db.turns import turns_to_json as turns_to_json


class AnnotatorKind(StrEnum):
    """Who judges. People are annotators like any other."""

    HUMAN = "human"
    LLM = "llm"
    REWARD_MODEL = "rm"
    GOLD = "gold"  # right by construction, or verified by an expert
    RULE = "rule"  # a baseline with no model
    PANEL = "panel"  # made of the judgements of several annotators
    CASCADE = "cascade"  # the judgement of the first of several annotators that is sure
    SEQUENTIAL = "sequential"  # one annotator, asked again until its side is clear


COMPOSITES = (AnnotatorKind.PANEL, AnnotatorKind.CASCADE, AnnotatorKind.SEQUENTIAL)
"""The kinds that are made of others' judgements."""


class ProducerKind(StrEnum):
    """Who wrote an output."""

    MODEL = "model"
    REFERENCE = "reference"  # a demonstration


class Use(StrEnum):
    """What the instructions of a named set are for."""

    TRAIN = "train"
    VALIDATION = "validation"
    EVAL = "eval"


class AnnotationStatus(StrEnum):
    """The outcome of a judgement. Its preference is None unless the status is OK."""

    OK = "ok"
    UNREADABLE = "unreadable"  # a reply came, no verdict could be read from it
    FAILED = "failed"  # no usable reply came
    SPARED = "spared"  # nobody was asked, because label noise replaces the judgement; the label is set
    RETRACTED = "retracted"  # taken back by the person who gave it
    CONTESTED = "contested"  # members of a panel disagree, nobody in a cascade is sure, or of several
    # outputs only the best was named: it stays open


@dataclass(frozen=True)
class Instruction:
    """What a model was asked: a text and its optional input, or the turns of a conversation.

    Of a conversation, the text is the transcript and there is no input: build it with `of_turns`.
    """

    text: str
    input: str = ""
    turns: tuple[Turn, ...] = ()

    @classmethod
    def of_turns(cls, turns: Sequence[Turn]) -> Instruction:
        """A conversation, whose next turn is asked for."""
        return cls(transcript(turns), "", tuple(turns))

    @property
    def messages(self) -> tuple[Turn, ...]:
        """The turns. Of a flat instruction, one turn of the user, the input after a blank line."""
        said = f"{self.text}\n\n{self.input}" if self.input else self.text
        return self.turns or (Turn(TurnRole.USER, said),)

    @cached_property
    def key(self) -> str:
        """Hash of the turns; without turns, of text and input."""
        if self.turns:
            said = [[str(t.role), t.content, *((t.name, t.call_id) if t.tool else ())] for t in self.turns]
            return content_hash("conversation", said)
        return content_hash("instruction", [self.text, self.input])


@dataclass(frozen=True)
class Output:
    """One answer to an instruction. `sample` numbers the draws of one producer with one decoding.

    turns: of an answer of several turns, as when a tool is called. Its text is their transcript.
    """

    instruction: Instruction
    text: str
    producer: str = ""  # empty where an import does not say
    producer_kind: ProducerKind = ProducerKind.MODEL
    decoding: str = ""  # canonical JSON of the sampling settings; empty where unknown
    sample: int = 0
    turns: tuple[Turn, ...] = ()

    @cached_property
    def key(self) -> str:
        """Hash of all fields but the turns, which the text holds; the instruction counts by its key."""
        parts: list[Json] = [self.text, self.producer, str(self.producer_kind), self.decoding, self.sample]
        return content_hash("output", [self.instruction.key, *parts])


@dataclass(frozen=True)
class Pair:
    """Two outputs to one instruction, ordered by their keys, so that A,B and B,A are one pair.

    Build pairs with `of`, which does the ordering.
    """

    output_a: Output
    output_b: Output
    id: int = 0

    @classmethod
    def of(cls, output_1: Output, output_2: Output) -> tuple[Pair, bool]:
        """Return the pair of two outputs, and whether it is flipped: output_1 became output_b.

        Raises ValueError where the outputs answer different instructions.
        """
        if output_1.instruction.key != output_2.instruction.key:
            raise ValueError("a pair's outputs answer one instruction")
        flipped = output_2.key < output_1.key
        return (cls(output_2, output_1) if flipped else cls(output_1, output_2)), flipped

    @property
    def instruction(self) -> Instruction:
        """The instruction that both outputs answer."""
        return self.output_a.instruction

    @cached_property
    def key(self) -> str:
        """Hash of the keys of both outputs, in canonical order."""
        return content_hash("pair", [self.output_a.key, self.output_b.key])


@dataclass(frozen=True)
class AnnotatorCard:
    """An annotator as the ledger stores it. spec: everything that can change one of its judgements."""

    name: str
    kind: AnnotatorKind
    spec: Mapping[str, Json] = field(default_factory=dict)
    id: int = 0

    @cached_property
    def spec_json(self) -> str:
        """`spec` as canonical JSON."""
        return canonical_json(self.spec)

    @cached_property
    def key(self) -> str:
        """Hash of name, kind and spec."""
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
        """Hash of the pair's key, its orientation and the source's names."""
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
        """Hash of format and bytes; the same file under another name has the same key."""
        return content_hash("file", [self.format, self.sha256])


@dataclass(frozen=True)
class Membership:
    """An instruction as a member of a named set, such as a split, a benchmark or a source."""

    instruction: Instruction
    set_name: str
    use: Use | None = None
    category: str | None = None
    name: str | None = None  # the set's own name for the instruction
    meta: str | None = None  # canonical JSON

    @cached_property
    def key(self) -> str:
        """Hash of the instruction's key and all other fields."""
        names = [self.set_name, self.use and str(self.use), self.category, self.name, self.meta]
        return content_hash("membership", [self.instruction.key, *names])


@dataclass(frozen=True)
class Rating:
    """A judgement of one output alone, as its source stored it. Two labels of one output are two ratings."""

    output: Output
    annotator: AnnotatorCard
    label: float  # how good the output is, in [0, 1]; 1 is good, 0 is bad
    source: str
    subset: str | None = None
    name: str | None = None  # the source's own name for the row
    raw: str | None = None  # JSON, in the coding of the source
    meta: str | None = None  # canonical JSON

    @cached_property
    def key(self) -> str:
        """Hash of the keys of output and annotator, and of all other fields."""
        said: list[Json] = [self.label, self.source, self.subset, self.name, self.raw, self.meta]
        return content_hash("rating", [self.output.key, self.annotator.key, *said])


class Degree(NamedTuple):
    """How much better the preferred output is: steps from the tie, of as many levels. A tie has 0 steps."""

    steps: int
    levels: int


class AspectVerdict(NamedTuple):
    """What a judgement says of one criterion: P(output_a is preferred), and the scores of both outputs."""

    name: str
    preference: float | None
    score_a: float | None = None
    score_b: float | None = None

    @property
    def turned(self) -> AspectVerdict:
        """The same verdict where output_a and output_b are exchanged."""
        preference = None if self.preference is None else 1 - self.preference
        return AspectVerdict(self.name, preference, self.score_b, self.score_a)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One judgement of one pair: who judged it, in which order, and the result."""

    pair_id: int
    annotator_id: int
    preference: float | None  # P(output_a ≻ output_b); None unless status is OK
    label: float | None  # the preference after label noise; what training sees
    swapped: bool | None  # output_b was shown first; None where an import does not say
    status: AnnotationStatus = AnnotationStatus.OK
    reason: str | None = None  # why the status is not OK
    replicate: int = 0  # number of the independent judgement by the same annotator, from 0
    attempt: int = 0  # number of the try at this judgement, from 0; readers take the latest
    item_id: int | None = None  # the imported item it came with
    completion_id: int | None = None  # id of the claim whose completion it was read from
    slot: int | None = None  # the pair's place in that request, from 0
    parts: tuple[int, ...] = ()  # ids of the judgements that it was made of
    strength: Degree | None = None
    aspects: tuple[AspectVerdict, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """What an imported row carried beside its judgement. price: US dollars."""

    file_id: int
    preference_raw: str | None = None  # JSON, in the coding of the source
    scores: str | None = None  # JSON list: of output_1 and output_2, as the source orders them
    raw_completion: str | None = None
    price: float | None = None
    seconds: float | None = None
    meta: str | None = None  # canonical JSON


class Question(NamedTuple):
    """A pair as an annotator is asked it: its replicate number, and whether output_b is shown first."""

    pair_id: int
    replicate: int
    swapped: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A request that is about to be sent. It is written to the ledger before it is sent."""

    request_key: str
    draw_key: str  # who asks: AnnotatorSpec.draw_key, or a hash of the decoding of the outputs that are drawn
    run: str  # names the process that asks
    request: str  # canonical JSON
    questions: tuple[Question, ...]  # in the order of the request; none where an output is drawn
    attempt: int = 0
    id: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """The result of a claim: a reply or a failure, and what it cost."""

    claim_id: int
    text: str
    failure: str | None = None  # the failure's name; None for a good reply
    detail: str = ""
    finish_reason: str | None = None
    model: str | None = None  # as the server named it
    top_logprobs: str | None = None  # JSON: the likeliest tokens at the first positions
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    sendings: int = 1  # how often the request was sent
    unmetered: int = 0  # how many of the sendings may have been billed, though no usage was reported
    cost: float | None = None  # US dollars; None where the price is unknown
    cost_bound: float | None = None  # upper bound: every unmetered sending counts at its dearest
    seconds: float = 0.0
    warnings: str = ""  # names, comma-separated
    thinking: str = ""  # what the model thought before `text`


@dataclass(frozen=True, slots=True)
class Run:
    """A training run: its options, the model that it starts from, and the data that it learns from."""

    command: str
    config: str  # canonical JSON
    version: str  # of this package
    model: str  # directory or name of the model that training starts from
    folder: str
    started: str  # UTC, ISO 8601
    seed: int
    snapshot_id: int | None = None
    set_name: str | None = None  # the set of instructions, where the method learns from one


@dataclass(frozen=True)
class PairFilter:
    """Chooses pairs. All conditions must hold; None means any."""

    source: str | None = field(default=None, metadata={"names": "source"})
    """Only what was imported from this source."""
    subset: str | None = field(default=None, metadata={"names": "subset"})
    """Only this subset of it."""
    limit: int | None = field(default=None, metadata={"at_least": 1})
    """At most this many pairs."""
    after: int = field(default=0, metadata={"flag": None})
    """Only pairs of a higher id."""
    ids: tuple[int, ...] | None = field(default=None, metadata={"flag": None})
    """Only these pairs."""


@dataclass(frozen=True, slots=True)
class Source:
    """Chooses the outputs of one producer."""

    producer: str
    decoding: str | None = None  # canonical JSON of the sampling settings; None means any
