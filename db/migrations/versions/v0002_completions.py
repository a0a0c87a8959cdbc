"""Adds claims, completions, and the completion that a judgement was read from.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

from db.migrations.steps import forbid_changes, record_schema, text_column

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NEEDS = "0.1.0"


def _integer(name: str) -> sa.Column:  # type: ignore[type-arg]
    return sa.Column(name, sa.Integer, nullable=False)


def upgrade() -> None:
    """Add the tables, and two columns to `annotation`."""
    op.create_table(
        "claim",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        text_column("request_key"),
        _integer("attempt"),
        text_column("draw_key"),
        text_column("run"),
        text_column("request"),
        sa.UniqueConstraint("request_key", "attempt"),
    )
    op.create_table(
        "claim_slot",
        sa.Column("claim_id", sa.Integer, sa.ForeignKey("claim.id"), primary_key=True, autoincrement=False),
        sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("pair_id", sa.Integer, sa.ForeignKey("pair.id"), nullable=False),
        _integer("replicate"),
        sa.Column("swapped", sa.SmallInteger, nullable=False),
    )
    op.create_index("ix_claim_slot_pair_id", "claim_slot", ["pair_id"])
    op.create_table(
        "completion",
        sa.Column("claim_id", sa.Integer, sa.ForeignKey("claim.id"), primary_key=True, autoincrement=False),
        text_column("text"),
        text_column("failure", nullable=True),
        text_column("detail"),
        *(text_column(name, nullable=True) for name in ("finish_reason", "model", "top_logprobs")),
        *(_integer(name) for name in ("prompt_tokens", "completion_tokens", "cached_tokens")),
        *(_integer(name) for name in ("sendings", "unmetered")),
        *(sa.Column(name, sa.Float(53), nullable=True) for name in ("cost", "cost_bound")),
        sa.Column("seconds", sa.Float(53), nullable=False),
        text_column("warnings"),
    )
    # Plain SQL: alembic would copy the whole table, but SQLite can add such a column in place.
    op.execute("ALTER TABLE annotation ADD COLUMN completion_id INTEGER REFERENCES completion (claim_id)")
    op.execute("ALTER TABLE annotation ADD COLUMN slot INTEGER")
    forbid_changes("claim", "claim_slot", "completion")
    record_schema(revision, NEEDS)
