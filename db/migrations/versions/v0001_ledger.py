"""The first schema: instructions, outputs, pairs, annotators, judgements, and what was imported.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

from db.migrations.steps import forbid_changes, record_schema, text_column

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NEEDS = "0.1.0"
FACTS = ["instruction", "output", "pair", "annotator", "item", "file", "membership", "annotation", "imported"]


def _fact(name: str, *columns: sa.Column) -> None:  # type: ignore[type-arg]
    """Make a table of facts with these columns after `id` and `key`, a unique content hash."""
    op.create_table(
        name,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.Text, nullable=False),
        *columns,
        sa.UniqueConstraint("key"),
    )


def _reference(name: str, target: str, nullable: bool = False, primary: bool = False) -> sa.Column:  # type: ignore[type-arg]
    key = sa.ForeignKey(f"{target}.id")
    return sa.Column(name, sa.Integer, key, nullable=nullable, primary_key=primary, autoincrement=False)


def upgrade() -> None:
    """Make the tables and their triggers in an empty database."""
    _content_tables()
    _judgement_tables()
    op.create_table("schema_history", sa.Column("revision", sa.Text, primary_key=True), text_column("needs"))
    forbid_changes(*FACTS, "schema_history")
    record_schema(revision, NEEDS)


def _content_tables() -> None:
    _fact("instruction", text_column("text"), text_column("input"))
    _fact(
        "output",
        _reference("instruction_id", "instruction"),
        *(text_column(name) for name in ("text", "producer", "producer_kind", "decoding")),
        sa.Column("sample", sa.Integer, nullable=False),
    )
    op.create_index("ix_output_instruction_id", "output", ["instruction_id"])
    _fact("pair", _reference("output_a_id", "output"), _reference("output_b_id", "output"))
    _fact("annotator", text_column("name"), text_column("kind"), text_column("spec"))
    _fact(
        "item",
        text_column("source"),
        text_column("subset", nullable=True),
        text_column("name"),
        _reference("pair_id", "pair"),
        sa.Column("flipped", sa.Boolean, nullable=False),
        text_column("instruction_ref", nullable=True),
    )
    _fact("file", text_column("format"), text_column("name"), text_column("sha256"))
    _fact(
        "membership",
        _reference("instruction_id", "instruction"),
        text_column("set_name"),
        *(text_column(name, nullable=True) for name in ("use", "category", "name", "meta")),
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
        text_column("status"),
        text_column("reason", nullable=True),
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
        *(text_column(name, nullable=True) for name in ("preference_raw", "scores", "raw_completion")),
        sa.Column("price", sa.Float(53), nullable=True),
        sa.Column("seconds", sa.Float(53), nullable=True),
        text_column("meta", nullable=True),
    )
