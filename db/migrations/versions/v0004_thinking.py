"""Adds what a model thought: before a reply, and before an output.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

from db.migrations.steps import forbid_changes, record_schema, text_column

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NEEDS = "0.2.0"


def upgrade() -> None:
    """Add a column to `completion`, and a table beside `output`."""
    # Plain SQL, as in revision 0002.
    op.execute("ALTER TABLE completion ADD COLUMN thinking TEXT DEFAULT '' NOT NULL")
    op.create_table(
        "output_thinking",
        sa.Column("output_id", sa.Integer, sa.ForeignKey("output.id"), primary_key=True, autoincrement=False),
        text_column("text"),
    )
    forbid_changes("output_thinking")
    record_schema(revision, NEEDS)
