"""Where a ledger lives, and what the settings of its connections forbid."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from db.engine import Address, clear_errors, make_engine
from db.errors import LedgerBusy, LedgerCorrupt, LedgerError, LedgerFull, LedgerReadOnly


def test_a_file_name_and_its_url_are_one_address(tmp_path: Path) -> None:
    path = tmp_path / "a b%c.db"
    assert Address.of(path) == Address.of(str(path)) == Address.of(f"sqlite:///{path}")
    assert Address.of(path).path == path
    assert str(Address.of(path)) == str(path)
    assert Address.of("~/x.db").path == Path.home() / "x.db"


def test_an_address_is_shown_without_its_password() -> None:
    for scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        address = Address.of(f"{scheme}://ada:pa55word@host/farm")
        assert address.path is None
        assert address.url.drivername == "postgresql+psycopg"
        assert "pa55word" not in str(address)
        assert "ada" in str(address)


@pytest.mark.parametrize(
    ("ledger", "message"),
    [("mysql://host/x", "no ledger can live in mysql"), ("http://", "no ledger can live in http")],
)
def test_other_databases_are_refused(ledger: str, message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        Address.of(ledger)


def test_every_connection_is_safe(tmp_path: Path) -> None:
    """A write-ahead log, every commit synced, foreign keys held."""
    engine = make_engine(Address.of(tmp_path / "x.db"))
    with engine.connect() as connection:
        values = [
            connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    engine.dispose()
    assert values == ["wal", 2, 1]


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    address = Address.of(tmp_path / "x.db")
    with sqlite3.connect(address.path or "") as made:
        made.execute("CREATE TABLE t (x)")
    made.close()
    engine = make_engine(address, read_only=True)
    with (
        pytest.raises(LedgerReadOnly, match=r"x\.db: the ledger cannot be written"),
        clear_errors(address),
        engine.begin() as connection,
    ):
        connection.execute(text("INSERT INTO t VALUES (1)"))
    engine.dispose()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_BUSY_SNAPSHOT", LedgerBusy),
        ("SQLITE_LOCKED", LedgerBusy),
        ("SQLITE_FULL", LedgerFull),
        ("SQLITE_IOERR_WRITE", LedgerFull),
        ("SQLITE_READONLY_DIRECTORY", LedgerReadOnly),
        ("SQLITE_CANTOPEN", LedgerReadOnly),
        ("SQLITE_CORRUPT_VTAB", LedgerCorrupt),
        ("SQLITE_NOTADB", LedgerCorrupt),
        ("SQLITE_TOOBIG", LedgerError),
    ],
)
def test_every_error_of_sqlite_has_a_kind_and_names_the_file(name: str, kind: type[LedgerError]) -> None:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorname = name
    address = Address.of("/somewhere/x.db")
    with pytest.raises(LedgerError) as raised, clear_errors(address):
        raise error
    assert type(raised.value) is kind
    assert str(raised.value).startswith("/somewhere/x.db: ")
    assert raised.value.remedy or kind is LedgerError
