"""Adds the turns of an output that has several to `output`.

Revision ID: 0009
"""

from alembic import op

from db.migrations.steps import record_schema

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

NEEDS = "0.2.0"


def upgrade() -> None:
    """Add the column. What is in the ledger has no turns, outputs that were flattened included."""
    # Plain SQL, as in revision 0002.
    op.execute("ALTER TABLE output ADD COLUMN turns TEXT DEFAULT '' NOT NULL")
    record_schema(revision, NEEDS)
