"""Claims, completions, and which completion a judgement was read from.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

from db.migrations.steps import forbid_changes, record_schema

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NEEDS = "0.1.0"


def _text(name: str, nullable: bool = False) -> sa.Column:  # type: ignore[type-arg]
    return sa.Column(name, sa.Text, nullable=nullable)


def _integer(name: str) -> sa.Column:  # type: ignore[type-arg]
    return sa.Column(name, sa.Integer, nullable=False)


def upgrade() -> None:
    op.create_table(
        "claim",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        _text("request_key"),
        _integer("attempt"),
        _text("draw_key"),
        _text("run"),
        _text("request"),
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
        _text("text"),
        _text("failure", nullable=True),
        _text("detail"),
        *(_text(name, nullable=True) for name in ("finish_reason", "model", "top_logprobs")),
        *(_integer(name) for name in ("prompt_tokens", "completion_tokens", "cached_tokens")),
        *(_integer(name) for name in ("sendings", "unmetered")),
        *(sa.Column(name, sa.Float(53), nullable=True) for name in ("cost", "cost_bound")),
        sa.Column("seconds", sa.Float(53), nullable=False),
        _text("warnings"),
    )
    # Plain SQL: alembic would rather copy the table, and SQLite adds such a column as it is.
    op.execute("ALTER TABLE annotation ADD COLUMN completion_id INTEGER REFERENCES completion (claim_id)")
    op.execute("ALTER TABLE annotation ADD COLUMN slot INTEGER")
    forbid_changes("claim", "claim_slot", "completion")
    record_schema(revision, NEEDS)
