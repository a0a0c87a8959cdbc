"""Adds judgements of single outputs, and snapshots of them.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

from db.migrations.steps import forbid_changes, forbid_replacing, record_schema, text_column

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NEEDS = "0.2.0"


def upgrade() -> None:
    """Add the tables. Labels that hung on sets of instructions stay there."""
    op.create_table(
        "rating",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("output_id", sa.Integer, sa.ForeignKey("output.id"), nullable=False),
        sa.Column("annotator_id", sa.Integer, sa.ForeignKey("annotator.id"), nullable=False),
        sa.Column("file_id", sa.Integer, sa.ForeignKey("file.id"), nullable=False),
        sa.Column("label", sa.Float(53), nullable=False),
        text_column("source"),
        text_column("subset", nullable=True),
        text_column("name", nullable=True),
        text_column("raw", nullable=True),
        text_column("meta", nullable=True),
        sa.UniqueConstraint("key", name="uq_rating_key"),
    )
    op.create_table(
        "snapshot_rating",
        sa.Column("snapshot_id", sa.Integer, sa.ForeignKey("snapshot.id"), primary_key=True),
        sa.Column("rating_id", sa.Integer, sa.ForeignKey("rating.id"), primary_key=True),
    )
    forbid_changes("rating", "snapshot_rating")
    if op.get_bind().dialect.name == "sqlite":
        forbid_replacing("rating", ("id",), ("key",))
        forbid_replacing("snapshot_rating", ("snapshot_id", "rating_id"))
    record_schema(revision, NEEDS)
