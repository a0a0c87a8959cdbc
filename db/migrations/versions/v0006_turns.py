"""Adds the turns of a conversation to `instruction`.

Revision ID: 0006
"""

from alembic import op

from db.migrations.steps import record_schema

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NEEDS = "0.2.0"


def upgrade() -> None:
    """Add the column. What is in the ledger has no turns, conversations that were flattened included."""
    # Plain SQL, as in revision 0002.
    op.execute("ALTER TABLE instruction ADD COLUMN turns TEXT DEFAULT '' NOT NULL")
    record_schema(revision, NEEDS)
