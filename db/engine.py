"""Opens the database of a ledger's address, with settings that keep the ledger safe.

SQLite: a write-ahead log, every commit synced to disk (synchronous=FULL), foreign keys on, and explicit
transactions. A writer begins with BEGIN IMMEDIATE, because a transaction that began as a reader cannot wait
for the write lock: it fails at once. PostgreSQL: a writer takes one advisory lock, and a reader sees one
state (REPEATABLE READ), as a reader of SQLite does. In both there is one writer at a time, and a
transaction becomes visible as a whole or not at all.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, NoSuchModuleError

from db.errors import LedgerBusy, LedgerCorrupt, LedgerError, LedgerFull, LedgerReadOnly, LedgerUnreachable
from db.sqlite_file import FileConnection, connect, first_bytes

WRITER_LOCK = 0x4641524D  # PostgreSQL advisory lock: "FARM"
WRITE = {"farm_write": True}
_NEARLY_A_URL = re.compile(r"(postgres|mysql|mariadb|oracle|mssql)\w*(\+\w+)?:", re.IGNORECASE)
_SECRET = re.compile("pass|secret|token|key", re.IGNORECASE)  # in the names of a URL's options


@dataclass(frozen=True)
class Address:
    """The place of a ledger: a SQLite file or a PostgreSQL URL."""

    url: URL
    path: Path | None  # the SQLite file; None for PostgreSQL

    @classmethod
    def of(cls, ledger: str | Path) -> Address:
        """The address that a file name or URL means. Raises LedgerError on a URL of another database."""
        text = str(ledger)
        if "://" not in text and not _NEARLY_A_URL.match(text):
            try:
                path = Path(text).expanduser().absolute()
            except RuntimeError:
                raise LedgerError(
                    "its ~ names nobody's home", where=text, remedy="write the path out"
                ) from None
            return cls(URL.create("sqlite", database=str(path)), path)
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            raise LedgerError(
                "the ledger's URL cannot be read",
                remedy="write postgresql://USER@HOST/DATABASE or a file name",
            ) from None
        if url.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
            return cls(url.set(drivername="postgresql+psycopg"), None)
        if url.drivername == "sqlite" and url.database:
            return cls.of(url.database)
        raise LedgerError(
            f"no ledger can live in {url.drivername}",
            remedy="give a file name (SQLite) or postgresql://USER@HOST/DATABASE",
        )

    def __str__(self) -> str:
        """The address without its password, and without what else is secret in its query."""
        if self.path:
            return str(self.path)
        query = {name: "***" if _SECRET.search(name) else value for name, value in self.url.query.items()}
        return self.url.set(query=query).render_as_string(hide_password=True)

    @property
    def wal_bytes(self) -> int:
        """Size of the write-ahead log in bytes: above 0 while a writer is open, or after one was killed."""
        wal = Path(f"{self.path}-wal")
        return wal.stat().st_size if self.path and wal.exists() else 0


def make_engine(address: Address, read_only: bool = False) -> Engine:
    """An engine that opens every connection with the settings of this module.

    Raises LedgerError where the PostgreSQL driver is not installed.
    """
    if address.path is None:
        return _postgres_engine(address, read_only)
    path = address.path
    engine = create_engine("sqlite://", creator=lambda: connect(path, read_only), poolclass=QueuePool)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "checkout", _refuse_stale)
    return engine


def _refuse_stale(connection: Any, *_: object) -> None:
    """Let the pool open a file again that was read without locks and was written since."""
    if connection.changed():
        raise DisconnectionError


@contextmanager
def whole_state(connection: Connection | FileConnection, address: Address) -> Iterator[None]:
    """Let the block read one state. Raises LedgerBusy where a file without locks was written meanwhile."""
    try:
        yield
    except (DBAPIError, sqlite3.Error):
        _refuse_changed(connection, address)
        raise
    _refuse_changed(connection, address)


def _refuse_changed(connection: Connection | FileConnection, address: Address) -> None:
    if address.path is None or (isinstance(connection, Connection) and connection.invalidated):
        return  # a server's connection, which may be broken
    raw = connection.connection.dbapi_connection if isinstance(connection, Connection) else connection
    if isinstance(raw, FileConnection) and raw.changed():
        what = "somebody wrote to the ledger while it was read, in a folder where you cannot write"
        raise LedgerBusy(what, where=str(address), remedy="run the same command again")


def foreign_tables(path: Path) -> set[str]:
    """Names of the tables of a SQLite file that has no write-ahead log yet, as only a file of others has.

    Empty for any other file, and for one that this process has open as a ledger. Nothing is written: a file
    that is not ours must stay as it is.
    """
    head = first_bytes(path, 20)
    if not head.startswith(b"SQLite format 3\0") or head[18:20] != b"\1\1":
        return set()
    with clear_errors(Address.of(path)), closing(connect(path, read_only=True)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("farm_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _postgres_engine(address: Address, read_only: bool) -> Engine:
    try:
        engine = create_engine(address.url, paramstyle="format", pool_pre_ping=True)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise LedgerError(
            "the PostgreSQL driver is not installed", remedy="pip install 'preference-farm[postgres]'"
        ) from error
    if read_only:
        engine = engine.execution_options(postgresql_readonly=True)
    event.listen(engine, "begin", _begin_postgres)
    return engine


def _begin_postgres(connection: Connection) -> None:
    if not connection.get_execution_options().get("farm_write"):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    else:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (WRITER_LOCK,))


BROKEN = ("57P01", "57P02", "57P03")  # PostgreSQL is shut down, has crashed, or is starting
_SQLITE_ERRORS: tuple[tuple[str, type[LedgerError], str, str], ...] = (
    (
        "SQLITE_BUSY",
        LedgerBusy,
        "another process is writing to the ledger",
        "wait for it to end, then try again",
    ),
    (
        "SQLITE_LOCKED",
        LedgerBusy,
        "another process is writing to the ledger",
        "wait for it to end, then try again",
    ),
    (
        "SQLITE_FULL",
        LedgerFull,
        "there is no room to write",
        "free some disk space, then run the same command again",
    ),
    (
        "SQLITE_IOERR",
        LedgerFull,
        "the disk refused a read or a write",
        "check free space and limits, then try again",
    ),
    (
        "SQLITE_READONLY",
        LedgerReadOnly,
        "the ledger cannot be written",
        "check the permissions of the file and its folder",
    ),
    (
        "SQLITE_PERM",
        LedgerReadOnly,
        "the ledger cannot be opened",
        "check the permissions of the file and its folder",
    ),
    (
        "SQLITE_CANTOPEN",
        LedgerReadOnly,
        "the ledger cannot be opened",
        "check that its folder exists and can be written",
    ),
    ("SQLITE_CORRUPT", LedgerCorrupt, "the ledger is damaged", "restore a copy made with `farm backup`"),
    ("SQLITE_NOTADB", LedgerCorrupt, "this file is not a ledger", "give the file that `farm import` wrote"),
)


@contextmanager
def clear_errors(address: Address) -> Iterator[None]:
    """Raise a LedgerError, with a remedy, in place of an error of the database driver."""
    try:
        yield
    except DBAPIError as error:
        raise _translated(error.orig, str(address)) from error
    except sqlite3.Error as error:
        raise _translated(error, str(address)) from error


def _translated(error: BaseException | None, where: str) -> BaseException:
    if isinstance(error, sqlite3.Error):
        name: str = getattr(error, "sqlite_errorname", None) or ""
        for prefix, kind, what, remedy in _SQLITE_ERRORS:
            if name.startswith(prefix):
                return kind(what, where=where, remedy=remedy)
        return LedgerError(f"SQLite refused: {error}", where=where)
    state: Any = getattr(error, "sqlstate", None)
    if state is None:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        return LedgerUnreachable(
            f"no connection to the database: {reason}", where=where, remedy="is the server up?"
        )
    if state in BROKEN or state.startswith("08"):
        remedy = "see that it is up, then run the same command again"
        return LedgerUnreachable("the server broke the connection", where=where, remedy=remedy)
    if state == "53100":
        return LedgerFull("the server has no room to write", where=where, remedy="free some disk space there")
    if state == "25006":
        return LedgerReadOnly("the ledger was opened for reading only", where=where)
    return LedgerError(f"PostgreSQL refused: {error}", where=where)
