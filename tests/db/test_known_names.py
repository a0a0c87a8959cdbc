"""The names of a ledger are found without SQLAlchemy, in both engines, and nothing is left behind."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from db.known_names import QUERIES, known_names
from db.ledger import Ledger
from db.queries.holdings import names_of
from db.records import (
    Annotation,
    AnnotatorCard,
    AnnotatorKind,
    AspectVerdict,
    Instruction,
    Item,
    Membership,
    Output,
    Pair,
)

ASKED = Instruction("What is 2 + 2?")
PAIR, FLIPPED = Pair.of(Output(ASKED, "4", producer="smol"), Output(ASKED, "5"))


def fill(ledger: Ledger) -> None:
    """One name of each kind."""
    with ledger.writing() as writer:
        [ada, _] = writer.annotators(
            [AnnotatorCard("ada", AnnotatorKind.HUMAN), AnnotatorCard("ada", AnnotatorKind.GOLD)]
        )
        aspects = (AspectVerdict("honesty", 1.0),)
        writer.annotations([Annotation(writer.pairs([PAIR])[0], ada, 1.0, 1.0, None, aspects=aspects)])
        writer.items([Item("poll", "1", PAIR, FLIPPED, subset="easy"), Item("poll", "2", PAIR, FLIPPED)])
        writer.memberships([Membership(ASKED, "sums")])
        writer.snapshot("strict", "key", "{}", [])


THERE = {
    "judged": {"ada"},
    "set": {"sums"},
    "snapshot": {"strict"},
    "producer": {"smol"},
    "source": {"poll"},
    "subset": {"easy"},
    "aspect": {"honesty"},
}


def test_the_names_of_each_kind_are_found(ledger_url: str) -> None:
    with Ledger.open(ledger_url, create=True) as ledger:
        fill(ledger)
        assert {kind: names_of(ledger, kind) for kind in QUERIES} == THERE
    assert {kind: known_names(ledger_url, kind) for kind in QUERIES} == THERE


def test_looking_for_names_leaves_nothing_behind(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        fill(ledger)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert known_names(str(tmp_path / "farm.db"), "set") == {"sums"}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.Error):
        known_names(str(tmp_path / "none.db"), "set")
    assert list(tmp_path.iterdir()) == []


def test_a_long_search_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        fill(ledger)
    monkeypatch.setattr("db.known_names.SECONDS", 0.0)
    monkeypatch.setattr("db.known_names.STEPS", 1)
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        known_names(str(tmp_path / "farm.db"), "set")


def test_names_are_found_while_another_process_writes(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        fill(ledger)
        with ledger.writing() as writer:
            writer.memberships([Membership(ASKED, "later")])
            assert known_names(str(tmp_path / "farm.db"), "set") == {"sums"}
        assert known_names(str(tmp_path / "farm.db"), "set") == {"sums", "later"}
