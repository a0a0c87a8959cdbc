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


def forbid_replacing(table: str, *keys: tuple[str, ...], skipped: tuple[str, ...] = ()) -> None:
    """Make a SQLite trigger that refuses a new row with a key that a row of the table has.

    INSERT OR REPLACE would delete the older row, and no DELETE trigger would see it. keys: columns, or
    expressions with a place {} for the name of the row. skipped: a key by which our own statements leave out
    what the table holds already (ON CONFLICT DO NOTHING); such a row is left out, in place of an error.
    """
    steps = [f"SELECT RAISE(ABORT, '{REFUSAL}') WHERE {_held(table, key)};" for key in keys]
    if skipped:
        steps.append(f"SELECT RAISE(IGNORE) WHERE {_held(table, skipped)};")
    op.execute(f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} BEGIN {' '.join(steps)} END")


def _held(table: str, key: tuple[str, ...]) -> str:
    same = " AND ".join(_equal(part) for part in key)
    return f"EXISTS (SELECT 1 FROM {table} AS held WHERE {same})"


def _equal(part: str) -> str:
    held, new = (part.format(f"{row}.") if "{}" in part else f"{row}.{part}" for row in ("held", "NEW"))
    return f"{held} = {new}"


def text_column(name: str, nullable: bool = False) -> sa.Column[str]:
    """A column of text."""
    return sa.Column(name, sa.Text, nullable=nullable)


def record_schema(revision: str, needs: str) -> None:
    """Record that the ledger has reached this revision. needs: the first release that can read it."""
    table = sa.table("schema_history", sa.column("revision"), sa.column("needs"))
    op.bulk_insert(table, [{"revision": revision, "needs": needs}])
