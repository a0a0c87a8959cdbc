"""Adds what stands beside a judgement: what it was made of, how strong it is, and its aspects.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op

from db.migrations.steps import forbid_changes, forbid_replacing, record_schema

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NEEDS = "0.2.0"
KEYS = (
    ("made_of", "annotation_id", "part_id"),
    ("strength", "annotation_id"),
    ("aspect", "annotation_id", "name"),
)


def upgrade() -> None:
    """Add the tables. The judgements that are there have none of it."""
    op.create_table("made_of", _judgement("annotation_id"), _judgement("part_id"))
    op.create_table(
        "strength",
        _judgement("annotation_id"),
        sa.Column("steps", sa.SmallInteger, nullable=False),
        sa.Column("levels", sa.SmallInteger, nullable=False),
    )
    op.create_table(
        "aspect",
        _judgement("annotation_id"),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("preference", sa.Float(53), nullable=True),
        sa.Column("score_a", sa.Float(53), nullable=True),
        sa.Column("score_b", sa.Float(53), nullable=True),
    )
    forbid_changes("made_of", "strength", "aspect")
    if op.get_bind().dialect.name == "sqlite":
        for table, *key in KEYS:
            forbid_replacing(table, skipped=tuple(key))
    record_schema(revision, NEEDS)


def _judgement(name: str) -> sa.Column[int]:
    """A column of the key that names a judgement."""
    return sa.Column(name, sa.Integer, sa.ForeignKey("annotation.id"), primary_key=True, autoincrement=False)
