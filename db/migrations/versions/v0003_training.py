"""Adds snapshots, training runs, their metrics and their checkpoints.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

from db.migrations.steps import forbid_changes, record_schema, text_column

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NEEDS = "0.1.0"


def _key(name: str = "id") -> sa.Column:  # type: ignore[type-arg]
    return sa.Column(name, sa.Integer, primary_key=True, autoincrement=False)


def _part(name: str, target: str) -> sa.Column:  # type: ignore[type-arg]
    key = sa.ForeignKey(target)
    return sa.Column(name, sa.Integer, key, primary_key=True, autoincrement=False)


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "snapshot",
        _key(),
        text_column("key"),
        text_column("name"),
        text_column("choice"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "snapshot_row", _part("snapshot_id", "snapshot.id"), _part("annotation_id", "annotation.id")
    )
    op.create_table(
        "run",
        _key(),
        *(text_column(name) for name in ("command", "config", "version", "model", "folder", "started")),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("snapshot_id", sa.Integer, sa.ForeignKey("snapshot.id"), nullable=True),
        text_column("set_name", nullable=True),
    )
    op.create_table(
        "metric",
        _part("run_id", "run.id"),
        _key("step"),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Float(53), nullable=False),
    )
    op.create_table(
        "checkpoint", _key(), sa.Column("run_id", sa.Integer, sa.ForeignKey("run.id"), nullable=False),
        sa.Column("step", sa.Integer, nullable=False), text_column("path"),
    )  # fmt: skip
    forbid_changes("snapshot", "snapshot_row", "run", "metric", "checkpoint")
    record_schema(revision, NEEDS)
