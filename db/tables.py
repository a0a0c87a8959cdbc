"""The tables of the ledger. Private to db/: no mapped object leaves this room.

Rows refer to one another by integer id. Content is identified by a unique hash, the column `key`. Rows are
never updated or deleted, but for those of `lease`: triggers that the migrations make refuse it. A change here
needs a migration; a test checks that tables and migrations agree. The records in db/records.py explain the
columns.
"""

from __future__ import annotations

from typing import Annotated

from sqlalchemy import (
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
}


class Base(DeclarativeBase):
    """What all tables share: names of keys and indexes, and the SQL type of each Python type."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {str: Text, bool: Boolean, float: Float(53)}  # noqa: RUF012


Wide = Annotated[int, mapped_column(BigInteger().with_variant(Integer, "sqlite"))]
"""A number that comes from outside: from a server, a file or a flag."""


class InstructionRow(Base):
    """A text and its input. turns: of a conversation, as canonical JSON, else empty."""

    __tablename__ = "instruction"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(unique=True)
    text: Mapped[str]
    input: Mapped[str]
    turns: Mapped[str] = mapped_column(server_default="")


class OutputRow(Base):
    """One answer to an instruction."""

    __tablename__ = "output"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(unique=True)
    instruction_id: Mapped[int] = mapped_column(ForeignKey("instruction.id"), index=True)
    text: Mapped[str]
    producer: Mapped[str]
    producer_kind: Mapped[str]
    decoding: Mapped[str]
    sample: Mapped[Wide]


class OutputThinkingRow(Base):
    """What a model thought before it wrote an output."""

    __tablename__ = "output_thinking"
    output_id: Mapped[int] = mapped_column(ForeignKey("output.id"), primary_key=True, autoincrement=False)
    text: Mapped[str]


class PairRow(Base):
    """Two outputs to one instruction; output_a is the one with the smaller key."""

    __tablename__ = "pair"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(unique=True)
    output_a_id: Mapped[int] = mapped_column(ForeignKey("output.id"))
    output_b_id: Mapped[int] = mapped_column(ForeignKey("output.id"))


class AnnotatorRow(Base):
    """Who judges; spec is canonical JSON."""

    __tablename__ = "annotator"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    kind: Mapped[str]
    spec: Mapped[str]


class ItemRow(Base):
    """An imported question as its source stored it; two items with identical texts share a pair."""

    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(unique=True)
    source: Mapped[str]
    subset: Mapped[str | None]
    name: Mapped[str]
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"))
    flipped: Mapped[bool]
    instruction_ref: Mapped[str | None]


class FileRow(Base):
    """A file that was imported."""

    __tablename__ = "file"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(unique=True)
    format: Mapped[str]
    name: Mapped[str]
    sha256: Mapped[str]


class MembershipRow(Base):
    """An instruction of a named set."""

    __tablename__ = "membership"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(unique=True)
    instruction_id: Mapped[int] = mapped_column(ForeignKey("instruction.id"))
    set_name: Mapped[str]
    use: Mapped[str | None]
    category: Mapped[str | None]
    name: Mapped[str | None]
    meta: Mapped[str | None]


class RatingRow(Base):
    """A judgement of one output alone; label: how good it is, in [0, 1]."""

    __tablename__ = "rating"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(unique=True)
    output_id: Mapped[int] = mapped_column(ForeignKey("output.id"))
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotator.id"))
    file_id: Mapped[int] = mapped_column(ForeignKey("file.id"))
    label: Mapped[float]
    source: Mapped[str]
    subset: Mapped[str | None]
    name: Mapped[str | None]
    raw: Mapped[str | None]
    meta: Mapped[str | None]


class AnnotationRow(Base):
    """One attempt at a judgement. Unique by `JUDGEMENT`, in which a NULL counts as a value."""

    __tablename__ = "annotation"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"))
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotator.id"))
    item_id: Mapped[int | None] = mapped_column(ForeignKey("item.id"))
    replicate: Mapped[Wide]
    swapped: Mapped[int | None] = mapped_column(SmallInteger)
    attempt: Mapped[int]
    preference: Mapped[float | None]
    label: Mapped[float | None]
    status: Mapped[str]
    reason: Mapped[str | None]
    completion_id: Mapped[int | None] = mapped_column(ForeignKey("completion.claim_id"))
    slot: Mapped[int | None]


# The natural key of a judgement. Frames also sort by it: the latest attempt comes last, and the order does
# not depend on when a judgement arrived.
JUDGEMENT = (
    AnnotationRow.pair_id,
    AnnotationRow.annotator_id,
    func.coalesce(AnnotationRow.item_id, 0),
    AnnotationRow.replicate,
    func.coalesce(AnnotationRow.swapped, -1),
    AnnotationRow.attempt,
)
Index("uq_annotation_judgement", *JUDGEMENT, unique=True)


class ImportedRow(Base):
    """What an imported row carried beside its judgement."""

    __tablename__ = "imported"
    annotation_id: Mapped[int] = mapped_column(
        ForeignKey("annotation.id"), primary_key=True, autoincrement=False
    )
    file_id: Mapped[int] = mapped_column(ForeignKey("file.id"))
    preference_raw: Mapped[str | None]
    scores: Mapped[str | None]
    raw_completion: Mapped[str | None]
    price: Mapped[float | None]
    seconds: Mapped[float | None]
    meta: Mapped[str | None]


class MadeOfRow(Base):
    """A judgement of a panel or a cascade, and one of the judgements that it was made of."""

    __tablename__ = "made_of"
    annotation_id: Mapped[int] = mapped_column(
        ForeignKey("annotation.id"), primary_key=True, autoincrement=False
    )
    part_id: Mapped[int] = mapped_column(ForeignKey("annotation.id"), primary_key=True, autoincrement=False)


class StrengthRow(Base):
    """How strong a judgement is: steps from the tie, of as many levels on either side."""

    __tablename__ = "strength"
    annotation_id: Mapped[int] = mapped_column(
        ForeignKey("annotation.id"), primary_key=True, autoincrement=False
    )
    steps: Mapped[int] = mapped_column(SmallInteger)
    levels: Mapped[int] = mapped_column(SmallInteger)


class AspectRow(Base):
    """The verdict of a judgement on one criterion; scores: of output_a and output_b."""

    __tablename__ = "aspect"
    annotation_id: Mapped[int] = mapped_column(
        ForeignKey("annotation.id"), primary_key=True, autoincrement=False
    )
    name: Mapped[str] = mapped_column(primary_key=True)
    preference: Mapped[float | None]
    score_a: Mapped[float | None]
    score_b: Mapped[float | None]


class ClaimRow(Base):
    """A request that is about to be sent: one row before each sending, whether it costs anything or not."""

    __tablename__ = "claim"
    __table_args__ = (UniqueConstraint("request_key", "attempt"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    request_key: Mapped[str]
    attempt: Mapped[int]
    draw_key: Mapped[str]
    run: Mapped[str]
    request: Mapped[str]


class ClaimSlotRow(Base):
    """One pair that a claimed request shows; swapped: output_b was shown first."""

    __tablename__ = "claim_slot"
    claim_id: Mapped[int] = mapped_column(ForeignKey("claim.id"), primary_key=True, autoincrement=False)
    slot: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"), index=True)
    replicate: Mapped[Wide]
    swapped: Mapped[int] = mapped_column(SmallInteger)


class CompletionRow(Base):
    """The result of a claim: a reply or a failure, and what it cost."""

    __tablename__ = "completion"
    claim_id: Mapped[int] = mapped_column(ForeignKey("claim.id"), primary_key=True, autoincrement=False)
    text: Mapped[str]
    failure: Mapped[str | None]
    detail: Mapped[str]
    finish_reason: Mapped[str | None]
    model: Mapped[str | None]
    top_logprobs: Mapped[str | None]
    prompt_tokens: Mapped[Wide]
    completion_tokens: Mapped[Wide]
    cached_tokens: Mapped[Wide]
    sendings: Mapped[int]
    unmetered: Mapped[int]
    cost: Mapped[float | None]
    cost_bound: Mapped[float | None]
    seconds: Mapped[float]
    warnings: Mapped[str]
    thinking: Mapped[str] = mapped_column(server_default="")


class SnapshotRow(Base):
    """A frozen set of judgements. key: hash of their content; choice: how they were chosen, as JSON."""

    __tablename__ = "snapshot"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str]
    name: Mapped[str] = mapped_column(unique=True)
    choice: Mapped[str]


class SnapshotMemberRow(Base):
    """One judgement of a snapshot."""

    __tablename__ = "snapshot_row"
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshot.id"), primary_key=True, autoincrement=False)
    annotation_id: Mapped[int] = mapped_column(
        ForeignKey("annotation.id"), primary_key=True, autoincrement=False
    )


class SnapshotRatingRow(Base):
    """One rating of a snapshot."""

    __tablename__ = "snapshot_rating"
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshot.id"), primary_key=True, autoincrement=False)
    rating_id: Mapped[int] = mapped_column(ForeignKey("rating.id"), primary_key=True, autoincrement=False)


class RunRow(Base):
    """A training run: its options, the model that it started from, and the data that it learnt from."""

    __tablename__ = "run"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    command: Mapped[str]
    config: Mapped[str]
    version: Mapped[str]
    model: Mapped[str]
    folder: Mapped[str]
    started: Mapped[str]
    seed: Mapped[Wide]
    snapshot_id: Mapped[int | None] = mapped_column(ForeignKey("snapshot.id"))
    set_name: Mapped[str | None]


class MetricRow(Base):
    """One figure of a run at one step."""

    __tablename__ = "metric"
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True, autoincrement=False)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float]


class CheckpointRow(Base):
    """A checkpoint that a run wrote; path: its directory."""

    __tablename__ = "checkpoint"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    step: Mapped[int]
    path: Mapped[str]


class LeaseRow(Base):
    """A run of `farm annotate` that may be waiting for replies. It is no fact: the row changes, and goes.

    beats: a counter, which the run raises while it lives.
    """

    __tablename__ = "lease"
    run: Mapped[str] = mapped_column(primary_key=True)
    beats: Mapped[Wide]


class SchemaRow(Base):
    """A schema revision that the ledger has reached. needs: the first release that can read it."""

    __tablename__ = "schema_history"
    revision: Mapped[str] = mapped_column(primary_key=True)
    needs: Mapped[str]


INSTRUCTION = Base.metadata.tables["instruction"]
OUTPUT = Base.metadata.tables["output"]
OUTPUT_THINKING = Base.metadata.tables["output_thinking"]
PAIR = Base.metadata.tables["pair"]
ANNOTATOR = Base.metadata.tables["annotator"]
ITEM = Base.metadata.tables["item"]
FILE = Base.metadata.tables["file"]
MEMBERSHIP = Base.metadata.tables["membership"]
RATING = Base.metadata.tables["rating"]
ANNOTATION = Base.metadata.tables["annotation"]
IMPORTED = Base.metadata.tables["imported"]
MADE_OF = Base.metadata.tables["made_of"]
STRENGTH = Base.metadata.tables["strength"]
ASPECT = Base.metadata.tables["aspect"]
CLAIM = Base.metadata.tables["claim"]
CLAIM_SLOT = Base.metadata.tables["claim_slot"]
COMPLETION = Base.metadata.tables["completion"]
CHECKPOINT = Base.metadata.tables["checkpoint"]
LEASE = Base.metadata.tables["lease"]
METRIC = Base.metadata.tables["metric"]
RUN = Base.metadata.tables["run"]
SNAPSHOT = Base.metadata.tables["snapshot"]
SNAPSHOT_ROW = Base.metadata.tables["snapshot_row"]
SNAPSHOT_RATING = Base.metadata.tables["snapshot_rating"]
