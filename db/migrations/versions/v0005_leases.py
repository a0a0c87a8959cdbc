"""Adds the leases of runs, widens numbers that come from outside, and refuses INSERT OR REPLACE.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

from db.migrations.steps import forbid_replacing, record_schema

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NEEDS = "0.2.0"
KEYED = ("instruction", "output", "pair", "annotator", "item", "file", "membership")
WIDE = (
    ("output", "sample"),
    ("annotation", "replicate"),
    ("claim_slot", "replicate"),
    ("completion", "prompt_tokens"),
    ("completion", "completion_tokens"),
    ("completion", "cached_tokens"),
    ("run", "seed"),
)
JUDGEMENT = (
    "pair_id",
    "annotator_id",
    "coalesce({}item_id, 0)",
    "replicate",
    "coalesce({}swapped, -1)",
    "attempt",
)


def upgrade() -> None:
    """Add the table, and on SQLite the triggers; widen the columns on PostgreSQL.

    SQLite stores an integer of 64 bits in any column of integers.
    """
    op.create_table(
        "lease",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("beats", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        _refuse_replacing()
    else:
        for table, column in WIDE:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE BIGINT")
    record_schema(revision, NEEDS)


def _refuse_replacing() -> None:
    for table in KEYED:
        forbid_replacing(table, ("id",), ("key",))
    forbid_replacing("annotation", ("id",), skipped=JUDGEMENT)
    forbid_replacing("output_thinking", skipped=("output_id",))
    forbid_replacing("imported", ("annotation_id",))
    forbid_replacing("claim", ("id",), ("request_key", "attempt"))
    forbid_replacing("claim_slot", ("claim_id", "slot"))
    forbid_replacing("snapshot", ("id",), ("name",))
    forbid_replacing("snapshot_row", ("snapshot_id", "annotation_id"))
    forbid_replacing("run", ("id",))
    forbid_replacing("checkpoint", ("id",))
    forbid_replacing("schema_history", ("revision",))
    forbid_replacing("completion", skipped=("claim_id",))
    forbid_replacing("metric", skipped=("run_id", "step", "name"))
