"""The tables of the ledger. Private to db/: no table leaves this room.

Rows refer to one another by integer id. Content is identified by a unique hash, the column `key`. Rows are
never updated or deleted, but for those of `lease`: triggers that the migrations make refuse it. A change here
needs a migration; a test checks that tables and migrations agree. The records in db/records.py explain the
columns. The tables are those of SQLAlchemy's core: its mapper would cost a sixth of a short command.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.schema import SchemaItem

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)
REAL = Float(53)
WIDE = BigInteger().with_variant(Integer, "sqlite")
"""A number that comes from outside: from a server, a file or a flag."""


def _column(name: str, kind: Any, *more: ForeignKey, nullable: bool = False, **given: Any) -> Column[Any]:
    """A column. The database gives out no numbers of its own."""
    return Column(name, kind, *more, nullable=nullable, autoincrement=False, **given)


def _reference(name: str, to: str, **given: Any) -> Column[Any]:
    """A column that refers to one of another table."""
    return _column(name, Integer, ForeignKey(to), **given)


def _table(name: str, *columns: SchemaItem) -> Table:
    return Table(name, METADATA, *columns)


def _id() -> Column[Any]:
    return _column("id", Integer, primary_key=True)


def _key() -> Column[Any]:
    return _column("key", Text, unique=True)


INSTRUCTION = _table(
    "instruction",
    _id(),
    _key(),
    _column("text", Text),
    _column("input", Text),
    _column("turns", Text, server_default=""),
)
"""A text and its input. turns: of a conversation, as canonical JSON, else empty."""

OUTPUT = _table(
    "output",
    _id(),
    _key(),
    _reference("instruction_id", "instruction.id", index=True),
    _column("text", Text),
    _column("producer", Text),
    _column("producer_kind", Text),
    _column("decoding", Text),
    _column("sample", WIDE),
    _column("turns", Text, server_default=""),
)
"""One answer to an instruction. turns: of an answer of several, as canonical JSON, else empty."""

OUTPUT_THINKING = _table(
    "output_thinking",
    _reference("output_id", "output.id", primary_key=True),
    _column("text", Text),
)
"""What a model thought before it wrote an output."""

PAIR = _table(
    "pair",
    _id(),
    _key(),
    _reference("output_a_id", "output.id"),
    _reference("output_b_id", "output.id"),
)
"""Two outputs to one instruction; output_a is the one with the smaller key."""

ANNOTATOR = _table(
    "annotator",
    _id(),
    _key(),
    _column("name", Text),
    _column("kind", Text),
    _column("spec", Text),
)
"""Who judges; spec is canonical JSON."""

ITEM = _table(
    "item",
    _id(),
    _key(),
    _column("source", Text),
    _column("subset", Text, nullable=True),
    _column("name", Text),
    _reference("pair_id", "pair.id"),
    _column("flipped", Boolean),
    _column("instruction_ref", Text, nullable=True),
)
"""An imported question as its source stored it; two items with identical texts share a pair."""

FILE = _table(
    "file",
    _id(),
    _key(),
    _column("format", Text),
    _column("name", Text),
    _column("sha256", Text),
)
"""A file that was imported."""

MEMBERSHIP = _table(
    "membership",
    _id(),
    _key(),
    _reference("instruction_id", "instruction.id"),
    _column("set_name", Text),
    _column("use", Text, nullable=True),
    _column("category", Text, nullable=True),
    _column("name", Text, nullable=True),
    _column("meta", Text, nullable=True),
)
"""An instruction of a named set."""

RATING = _table(
    "rating",
    _id(),
    _key(),
    _reference("output_id", "output.id"),
    _reference("annotator_id", "annotator.id"),
    _reference("file_id", "file.id"),
    _column("label", REAL),
    _column("source", Text),
    _column("subset", Text, nullable=True),
    _column("name", Text, nullable=True),
    _column("raw", Text, nullable=True),
    _column("meta", Text, nullable=True),
)
"""A judgement of one output alone; label: how good it is, in [0, 1]."""

ANNOTATION = _table(
    "annotation",
    _id(),
    _reference("pair_id", "pair.id"),
    _reference("annotator_id", "annotator.id"),
    _reference("item_id", "item.id", nullable=True),
    _column("replicate", WIDE),
    _column("swapped", SmallInteger, nullable=True),
    _column("attempt", Integer),
    _column("preference", REAL, nullable=True),
    _column("label", REAL, nullable=True),
    _column("status", Text),
    _column("reason", Text, nullable=True),
    _reference("completion_id", "completion.claim_id", nullable=True),
    _column("slot", Integer, nullable=True),
)
"""One attempt at a judgement. Unique by `JUDGEMENT`, in which a NULL counts as a value."""

# What a judgement answers, and its natural key. Frames also sort by that key: the latest attempt comes last,
# and the order does not depend on when a judgement arrived.
ANSWERED = (
    ANNOTATION.c.pair_id,
    ANNOTATION.c.annotator_id,
    func.coalesce(ANNOTATION.c.item_id, 0),
    ANNOTATION.c.replicate,
    func.coalesce(ANNOTATION.c.swapped, -1),
)
JUDGEMENT = (*ANSWERED, ANNOTATION.c.attempt)
Index("uq_annotation_judgement", *JUDGEMENT, unique=True)


IMPORTED = _table(
    "imported",
    _reference("annotation_id", "annotation.id", primary_key=True),
    _reference("file_id", "file.id"),
    _column("preference_raw", Text, nullable=True),
    _column("scores", Text, nullable=True),
    _column("raw_completion", Text, nullable=True),
    _column("price", REAL, nullable=True),
    _column("seconds", REAL, nullable=True),
    _column("meta", Text, nullable=True),
)
"""What an imported row carried beside its judgement."""

MADE_OF = _table(
    "made_of",
    _reference("annotation_id", "annotation.id", primary_key=True),
    _reference("part_id", "annotation.id", primary_key=True),
)
"""A judgement of a panel or a cascade, and one of the judgements that it was made of."""

STRENGTH = _table(
    "strength",
    _reference("annotation_id", "annotation.id", primary_key=True),
    _column("steps", SmallInteger),
    _column("levels", SmallInteger),
)
"""How strong a judgement is: steps from the tie, of as many levels on either side."""

ASPECT = _table(
    "aspect",
    _reference("annotation_id", "annotation.id", primary_key=True),
    _column("name", Text, primary_key=True),
    _column("preference", REAL, nullable=True),
    _column("score_a", REAL, nullable=True),
    _column("score_b", REAL, nullable=True),
)
"""The verdict of a judgement on one criterion; scores: of output_a and output_b."""

CLAIM = _table(
    "claim",
    _id(),
    _column("request_key", Text),
    _column("attempt", Integer),
    _column("draw_key", Text),
    _column("run", Text),
    _column("request", Text),
    UniqueConstraint("request_key", "attempt"),
)
"""A request that is about to be sent: one row before each sending, whether it costs anything or not."""

CLAIM_SLOT = _table(
    "claim_slot",
    _reference("claim_id", "claim.id", primary_key=True),
    _column("slot", Integer, primary_key=True),
    _reference("pair_id", "pair.id", index=True),
    _column("replicate", WIDE),
    _column("swapped", SmallInteger),
)
"""One pair that a claimed request shows; swapped: output_b was shown first."""

COMPLETION = _table(
    "completion",
    _reference("claim_id", "claim.id", primary_key=True),
    _column("text", Text),
    _column("failure", Text, nullable=True),
    _column("detail", Text),
    _column("finish_reason", Text, nullable=True),
    _column("model", Text, nullable=True),
    _column("top_logprobs", Text, nullable=True),
    _column("prompt_tokens", WIDE),
    _column("completion_tokens", WIDE),
    _column("cached_tokens", WIDE),
    _column("sendings", Integer),
    _column("unmetered", Integer),
    _column("cost", REAL, nullable=True),
    _column("cost_bound", REAL, nullable=True),
    _column("seconds", REAL),
    _column("warnings", Text),
    _column("thinking", Text, server_default=""),
)
"""The result of a claim: a reply or a failure, and what it cost."""

SNAPSHOT = _table(
    "snapshot",
    _id(),
    _column("key", Text),
    _column("name", Text, unique=True),
    _column("choice", Text),
)
"""A frozen set of judgements. key: hash of their content; choice: how they were chosen, as JSON."""

SNAPSHOT_ROW = _table(
    "snapshot_row",
    _reference("snapshot_id", "snapshot.id", primary_key=True),
    _reference("annotation_id", "annotation.id", primary_key=True),
)
"""One judgement of a snapshot."""

SNAPSHOT_RATING = _table(
    "snapshot_rating",
    _reference("snapshot_id", "snapshot.id", primary_key=True),
    _reference("rating_id", "rating.id", primary_key=True),
)
"""One rating of a snapshot."""

RUN = _table(
    "run",
    _id(),
    _column("command", Text),
    _column("config", Text),
    _column("version", Text),
    _column("model", Text),
    _column("folder", Text),
    _column("started", Text),
    _column("seed", WIDE),
    _reference("snapshot_id", "snapshot.id", nullable=True),
    _column("set_name", Text, nullable=True),
)
"""A training run: its options, the model that it started from, and the data that it learnt from."""

METRIC = _table(
    "metric",
    _reference("run_id", "run.id", primary_key=True),
    _column("step", Integer, primary_key=True),
    _column("name", Text, primary_key=True),
    _column("value", REAL),
)
"""One figure of a run at one step."""

CHECKPOINT = _table(
    "checkpoint",
    _id(),
    _reference("run_id", "run.id"),
    _column("step", Integer),
    _column("path", Text),
)
"""A checkpoint that a run wrote; path: its directory."""

LEASE = _table(
    "lease",
    _column("run", Text, primary_key=True),
    _column("beats", WIDE),
)
"""A run of `farm annotate` that may be waiting for replies. It is no fact: the row changes, and goes.

beats: a counter, which the run raises while it lives.
"""

SCHEMA_HISTORY = _table(
    "schema_history",
    _column("revision", Text, primary_key=True),
    _column("needs", Text),
)
"""A schema revision that the ledger has reached. needs: the first release that can read it."""
