"""Finds which schema a ledger has, and upgrades it to the schema of this release.

The migrations make new ledgers too, so that a new one and an upgraded one are the same. A ledger is upgraded
when it is opened for writing, in one transaction: as a whole or not at all.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Connection, inspect, select

from db.errors import LedgerCorrupt, LedgerReadOnly, LedgerTooNew
from db.tables import SCHEMA_HISTORY

KNOWN = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
HEAD = KNOWN[-1]


def package_version() -> str:
    """The installed release of this package."""
    return importlib.metadata.version("preference-farm")


def refuse_foreign(tables: Collection[str], where: str) -> None:
    """Raise LedgerCorrupt where a database has tables, and not those of a ledger. where: its address."""
    if tables and SCHEMA_HISTORY.name not in tables:
        raise LedgerCorrupt(
            "this database is not a ledger: it holds other tables",
            where=where,
            remedy="give another file name or database",
        )


def current_revision(connection: Connection, where: str) -> str | None:
    """The schema revision of the ledger; None for an empty database.

    where: the ledger's address, for error texts. Raises LedgerTooNew for a revision that this release does
    not know, and LedgerCorrupt for a database that holds tables but no ledger.
    """
    tables = inspect(connection).get_table_names()
    refuse_foreign(tables, where)
    if not tables:
        return None
    history = connection.execute(
        select(SCHEMA_HISTORY.c.revision, SCHEMA_HISTORY.c.needs).order_by(SCHEMA_HISTORY.c.revision)
    ).all()
    for revision, needs in reversed(history):
        if revision not in KNOWN:
            raise LedgerTooNew(
                f"the ledger was written by a newer version (schema {revision}; this is {package_version()})",
                where=where,
                remedy=f"install preference-farm {needs} or newer",
            )
    return str(history[-1].revision) if history else None


def is_current(connection: Connection, where: str, read_only: bool) -> bool:
    """Whether the schema is this release's. Raises LedgerReadOnly for an older one opened for reading."""
    revision = current_revision(connection, where)
    if revision != HEAD and read_only:
        raise LedgerReadOnly(
            f"the ledger has the older schema {revision or '(none)'}",
            where=where,
            remedy="open it once with write access, which upgrades it",
        )
    return revision == HEAD


def ensure_current(connection: Connection, where: str) -> None:
    """Create or upgrade the schema, unless another process has just done it."""
    if current_revision(connection, where) != HEAD:
        upgrade(connection)


def upgrade(connection: Connection, revision: str = HEAD) -> None:
    """Run the migrations up to `revision` inside the connection's transaction."""
    from alembic import command  # loaded only for a ledger that is new or old: keeps start-up light
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
