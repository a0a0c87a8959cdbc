"""The names that a ledger holds, for a shell that completes them. It is quick: SQLAlchemy is not loaded.

`QUERIES` says what each kind of name is. db/queries/holdings.py asks the same of an open ledger.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

SECONDS = 1.0  # what a question may take: somebody waits at the prompt
STEPS = 10_000  # of SQLite's machine between two looks at the clock

QUERIES: Mapping[str, str] = MappingProxyType(
    {
        "judged": "SELECT DISTINCT name FROM annotator",
        "set": "SELECT DISTINCT set_name FROM membership",
        "snapshot": "SELECT name FROM snapshot",
        "producer": "SELECT DISTINCT producer FROM output WHERE producer <> ''",
        "source": "SELECT DISTINCT source FROM item",
        "subset": "SELECT DISTINCT subset FROM item WHERE subset IS NOT NULL",
        "aspect": "SELECT DISTINCT name FROM aspect",
    }
)
"""Kind -> the query for the names of this kind."""


def known_names(ledger: str, kind: str) -> set[str]:
    """The names of one kind in a SQLite file or at a PostgreSQL URL. Nothing is made or written.

    Raises whatever the database driver raises: where there is no ledger, where it is no ledger, and where the
    answer takes longer than SECONDS.
    """
    if ledger.startswith("postgres"):
        return _in_postgres(ledger, kind)
    path = Path(ledger.removeprefix("sqlite:///")).expanduser().absolute()
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    uri = f"file:{quote(str(path))}?{mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=SECONDS)) as connection:
        latest = time.monotonic() + SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > latest, STEPS)
        return _texts(connection.execute(QUERIES[kind]))


def _in_postgres(url: str, kind: str) -> set[str]:
    import psycopg  # an optional package

    settings = f"-c default_transaction_read_only=on -c statement_timeout={int(1000 * SECONDS)}"
    plain = re.sub(r"^postgres(ql)?(\+psycopg)?:", "postgresql:", url)
    with psycopg.connect(plain, connect_timeout=2, options=settings) as connection:
        return _texts(connection.execute(QUERIES[kind]))


def _texts(rows: Iterable[Any]) -> set[str]:
    return {str(row[0]) for row in rows}
