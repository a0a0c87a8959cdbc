"""Every schema ever shipped upgrades; the models and the migrations are one schema."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from db.engine import Address, make_engine
from db.errors import LedgerCorrupt, LedgerError, LedgerNotFound, LedgerTooNew
from db.ledger import Ledger
from db.queries import asking
from db.queries.outputs import outputs_of
from db.records import Completion, Instruction, Run, Source, Turn, TurnRole
from db.schema import HEAD, KNOWN, upgrade
from db.tables import METADATA

ASSETS = Path(__file__).parent / "assets"
TALK = Instruction.of_turns(
    [
        Turn(TurnRole.SYSTEM, "Be brief."),
        Turn(TurnRole.USER, "Name a colour."),
        Turn(TurnRole.ASSISTANT, "red"),
        Turn(TurnRole.USER, "Another."),
    ]
)


def shape(url: str) -> dict[str, object]:
    """Columns, keys and indexes of every table, as the database tells them."""
    engine = make_engine(Address.of(url))
    try:
        seen = inspect(engine)
        return {
            table: {
                "columns": sorted(
                    (c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(table)
                ),
                "primary": sorted(seen.get_pk_constraint(table)["constrained_columns"]),
                "foreign": sorted(
                    (f["constrained_columns"], f["referred_table"]) for f in seen.get_foreign_keys(table)
                ),
                "unique": sorted(u["column_names"] for u in seen.get_unique_constraints(table)),
            }
            for table in seen.get_table_names()
            if table != "alembic_version"
        }
    finally:
        engine.dispose()


def indexes(path: Path) -> set[str]:
    """The CREATE INDEX statements of a SQLite file, blanks and quotes aside."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        found = {" ".join(sql.replace('"', "").split()) for (sql,) in rows}
    connection.close()
    return found


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")  # that index is compared as SQL
def test_models_equal_migrations(ledger_url: str, tmp_path: Path) -> None:
    Ledger.open(ledger_url, create=True).close()
    migrated = shape(ledger_url)
    modelled = tmp_path / "models.db"
    engine = create_engine(f"sqlite:///{modelled}")
    METADATA.create_all(engine)
    engine.dispose()
    assert set(migrated) == set(METADATA.tables)
    if "://" not in ledger_url:
        assert migrated == shape(str(modelled))
        assert indexes(Path(ledger_url)) == indexes(modelled)


@pytest.mark.parametrize("revision", KNOWN)
def test_every_schema_ever_shipped_upgrades(tmp_path: Path, revision: str) -> None:
    """assets/REVISION.sql is a dump of a ledger of that release; its facts survive."""
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((ASSETS / f"{revision}.sql").read_text())
    connection.close()
    with Ledger.open(path) as ledger:
        assert ledger.revision() == HEAD
        counts = ledger.counts()
        assert (counts["pair"], counts["annotation"], counts["item"]) == (2, 4, 2)
        assert [p.output_a.text for p in ledger.pairs()]
        assert {p.instruction for p in ledger.pairs()} == {Instruction("Name a colour.", "Any.")}
        talks = [each.instruction for each in ledger.memberships() if each.set_name == "talks"]
        assert talks == ([TALK] if revision >= "0006" else [])
        called = [len(each.turns) for each in outputs_of(ledger, Source("caller"))]
        assert called == ([3] if revision >= "0009" else [])


def test_a_newer_ledger_is_refused_with_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    Ledger.open(path, create=True).close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO schema_history VALUES ('9999', '42.0')")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(LedgerTooNew, match=r"preference-farm 42\.0 or newer"):
        Ledger.open(path)
    assert path.read_bytes() == before


def test_another_database_is_not_taken_for_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
    connection.close()
    with pytest.raises(LedgerCorrupt, match="not a ledger"):
        Ledger.open(path, create=True)


def test_a_failed_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"

    def fail(*_: object) -> None:
        raise RuntimeError("half-way")

    monkeypatch.setattr("db.migrations.steps.op.bulk_insert", fail)
    with pytest.raises(RuntimeError, match="half-way"):
        Ledger.open(path, create=True)
    monkeypatch.undo()
    with Ledger.open(path, create=True) as ledger:
        assert ledger.revision() == HEAD


def test_an_unknown_revision_cannot_be_reached(tmp_path: Path) -> None:
    engine = make_engine(Address.of(tmp_path / "x.db"))
    with engine.connect() as connection, pytest.raises(Exception, match="no-such"):
        upgrade(connection, "no-such")
    engine.dispose()


def test_no_ledger_where_one_was_expected(tmp_path: Path) -> None:
    with pytest.raises(LedgerNotFound, match="farm import"):
        Ledger.open(tmp_path / "none.db")
    assert not list(tmp_path.iterdir())


def test_an_empty_file_read_only_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(LedgerNotFound, match="there is no ledger here"):
        Ledger.open(tmp_path / "empty.db", read_only=True)


@pytest.mark.parametrize("url", ["mysql://localhost/x", "://nowhere", "sqlite://"])
def test_addresses_that_cannot_be(url: str) -> None:
    with pytest.raises(LedgerError, match="postgresql://USER@HOST/DATABASE"):
        Address.of(url)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in str(Address.of("postgresql://me:secret@localhost/x"))


@pytest.mark.parametrize("revision", KNOWN)
def test_replacing_a_row_changes_nothing(tmp_path: Path, revision: str) -> None:
    """INSERT OR REPLACE deletes the older row, and no DELETE trigger fires: a trigger of its own refuses it.

    With the row's own keys and another content, and with a new id beside the other keys.
    """
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((ASSETS / f"{revision}.sql").read_text())
    connection.close()
    Ledger.open(path).close()
    connection = sqlite3.connect(path)
    tried = 0
    for table in set(METADATA.tables) - {"lease"}:
        columns = [column.name for column in METADATA.tables[table].columns]
        before = connection.execute(f"SELECT * FROM {table}").fetchall()
        for name in columns:
            changed = ", ".join("777" if each == name else each for each in columns)
            for row in before:
                where = " AND ".join(f"{each} IS ?" for each in columns)
                replacing = f"INSERT OR REPLACE INTO {table} SELECT {changed} FROM {table} WHERE {where}"
                with suppress(sqlite3.IntegrityError):
                    connection.execute(replacing, row)
                after = connection.execute(f"SELECT * FROM {table}").fetchall()
                assert set(before) <= set(after), f"{table}.{name}"
                connection.rollback()
                tried += 1
    connection.close()
    assert tried > 100


def test_numbers_from_outside_are_wide(ledger_url: str) -> None:
    """An old ledger on PostgreSQL had columns of 32 bits: they are widened with their rows."""
    engine = make_engine(Address.of(ledger_url))
    fact = Completion(1, "A", prompt_tokens=2**53 - 1, completion_tokens=3_000_000_000, cached_tokens=2**62)
    row = "INSERT INTO claim VALUES (1, 'k', 0, 'd', 'r', '')"
    with engine.connect() as connection, connection.begin():
        upgrade(connection, "0003")
        connection.exec_driver_sql(row)
    engine.dispose()
    with Ledger.open(ledger_url) as ledger:
        with ledger.writing() as writer:
            writer.completions([fact])
            writer.run(Run("train dpo", "{}", "0", "m", "f", "now", 2**40))
        assert asking.completions(ledger, [1]) == {1: fact}


def test_a_database_of_others_is_left_as_it_was(tmp_path: Path) -> None:
    path, empty = tmp_path / "other.sqlite", tmp_path / "empty"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    empty.touch()
    before = path.read_bytes()
    for create in (False, True):
        with pytest.raises(LedgerCorrupt, match="this database is not a ledger"):
            Ledger.open(path, create=create)
    with pytest.raises(LedgerNotFound, match="there is no ledger here"):
        Ledger.open(empty)
    assert (path.read_bytes(), empty.read_bytes()) == (before, b"")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty", "other.sqlite"]
