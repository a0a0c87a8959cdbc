"""Steps that several migrations share: append-only triggers, the record of a revision, common columns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

REFUSAL = "the ledger is append-only"


def forbid_changes(*tables: str) -> None:
    """Make triggers that refuse UPDATE and DELETE on these tables, and in PostgreSQL also TRUNCATE."""
    if op.get_bind().dialect.name == "sqlite":
        for table in tables:
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
                )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
    )
    for table in tables:
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def text_column(name: str, nullable: bool = False) -> sa.Column[str]:
    """A column of text."""
    return sa.Column(name, sa.Text, nullable=nullable)


def record_schema(revision: str, needs: str) -> None:
    """Record that the ledger has reached this revision. needs: the first release that can read it."""
    table = sa.table("schema_history", sa.column("revision"), sa.column("needs"))
    op.bulk_insert(table, [{"revision": revision, "needs": needs}])
