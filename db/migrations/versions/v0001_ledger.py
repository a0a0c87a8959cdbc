"""The ledger's first schema.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

from db.migrations.steps import forbid_changes, record_schema

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NEEDS = "0.1.0"
FACTS = ["instruction", "output", "pair", "annotator", "item", "file", "membership", "annotation", "imported"]


def _fact(name: str, *columns: sa.Column) -> None:  # type: ignore[type-arg]
    """A table of facts: an integer id inside this ledger, a content hash everywhere."""
    op.create_table(
        name,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.Text, nullable=False),
        *columns,
        sa.UniqueConstraint("key"),
    )


def _text(name: str, nullable: bool = False) -> sa.Column:  # type: ignore[type-arg]
    return sa.Column(name, sa.Text, nullable=nullable)


def _reference(name: str, target: str, nullable: bool = False, primary: bool = False) -> sa.Column:  # type: ignore[type-arg]
    key = sa.ForeignKey(f"{target}.id")
    return sa.Column(name, sa.Integer, key, nullable=nullable, primary_key=primary, autoincrement=False)


def upgrade() -> None:
    _content_tables()
    _judgement_tables()
    op.create_table("schema_history", sa.Column("revision", sa.Text, primary_key=True), _text("needs"))
    forbid_changes(*FACTS, "schema_history")
    record_schema(revision, NEEDS)


def _content_tables() -> None:
    _fact("instruction", _text("text"), _text("input"))
    _fact(
        "output",
        _reference("instruction_id", "instruction"),
        *(_text(name) for name in ("text", "producer", "producer_kind", "decoding")),
        sa.Column("sample", sa.Integer, nullable=False),
    )
    op.create_index("ix_output_instruction_id", "output", ["instruction_id"])
    _fact("pair", _reference("output_a_id", "output"), _reference("output_b_id", "output"))
    _fact("annotator", _text("name"), _text("kind"), _text("spec"))
    _fact(
        "item",
        _text("source"),
        _text("subset", nullable=True),
        _text("name"),
        _reference("pair_id", "pair"),
        sa.Column("flipped", sa.Boolean, nullable=False),
        _text("instruction_ref", nullable=True),
    )
    _fact("file", _text("format"), _text("name"), _text("sha256"))
    _fact(
        "membership",
        _reference("instruction_id", "instruction"),
        _text("set_name"),
        *(_text(name, nullable=True) for name in ("use", "category", "name", "meta")),
    )


def _judgement_tables() -> None:
    op.create_table(
        "annotation",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        _reference("pair_id", "pair"),
        _reference("annotator_id", "annotator"),
        _reference("item_id", "item", nullable=True),
        sa.Column("replicate", sa.Integer, nullable=False),
        sa.Column("swapped", sa.SmallInteger, nullable=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("preference", sa.Float(53), nullable=True),
        sa.Column("label", sa.Float(53), nullable=True),
        _text("status"),
        _text("reason", nullable=True),
    )
    op.create_index(
        "uq_annotation_judgement",
        "annotation",
        [
            "pair_id",
            "annotator_id",
            sa.text("coalesce(item_id, 0)"),
            "replicate",
            sa.text("coalesce(swapped, -1)"),
            "attempt",
        ],
        unique=True,
    )
    op.create_table(
        "imported",
        _reference("annotation_id", "annotation", primary=True),
        _reference("file_id", "file"),
        *(_text(name, nullable=True) for name in ("preference_raw", "scores", "raw_completion")),
        sa.Column("price", sa.Float(53), nullable=True),
        sa.Column("seconds", sa.Float(53), nullable=True),
        _text("meta", nullable=True),
    )
