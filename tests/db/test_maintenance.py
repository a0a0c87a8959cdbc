"""Backups are whole and checked; a merger doubles nothing and loses nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, Table, literal, select

from db.errors import ConfigError, LedgerError
from db.judgement_rows import BESIDE
from db.ledger import Ledger
from db.maintenance import backup, merge
from db.queries.exports import RowFilter, preference_rows
from db.records import (
    Annotation,
    AnnotationStatus,
    AnnotatorCard,
    AnnotatorKind,
    AspectVerdict,
    Claim,
    Completion,
    Degree,
    Imported,
    Instruction,
    Item,
    Membership,
    Output,
    Pair,
    Question,
    SourceFile,
    Turn,
    TurnRole,
)
from db.tables import ANNOTATION, COMPLETION, METADATA
from db.writer import ImportedJudgement
from tests.support.held import bytes_of

PAIR = METADATA.tables["pair"]
PEOPLE = AnnotatorCard("ada", AnnotatorKind.HUMAN, {"imported": True})
LONGEST = AnnotatorCard("longest", AnnotatorKind.RULE, {"rule": "longest"})
PANEL = AnnotatorCard("panel", AnnotatorKind.LLM, {"members": ["longest"]})


def fill(ledger: Ledger, first: int, last: int, preference: float = 1.0) -> None:
    """Items first..last-1 judged by a person (imported) and by a rule (made here)."""
    with ledger.writing() as writer:
        people, longest, panel = writer.annotators([PEOPLE, LONGEST, PANEL])
        [file_id] = writer.files([SourceFile("preferences", "x.jsonl", "ab" * 32)])
        for i in range(first, last):
            said = Turn(TurnRole.USER, f"Say {i}.")
            instruction = Instruction.of_turns([said, said]) if i % 3 == 0 else Instruction(f"Say {i}.")
            pair, flipped = Pair.of(Output(instruction, "long " * i, "m"), Output(instruction, "no", "n"))
            [pair_id] = writer.pairs([pair])
            [item_id] = writer.items([Item("numbers", str(i), pair, flipped)])
            fact = Annotation(pair_id, people, preference, preference, None, item_id=item_id)
            if i % 5 == 0:
                fact = replace(
                    fact, preference=None, label=None, status=AnnotationStatus.UNREADABLE, reason="mumbled"
                )
            writer.judgements(
                [ImportedJudgement(fact, Imported(file_id, raw_completion=f"reply {i}", price=0.5))]
            )
            slots = (Question(pair_id, 0, False),)
            [claim_id] = writer.claims([Claim(f"request {i}", "asked", "run", "{}", slots)])
            if claim_id is not None:
                writer.completions([Completion(claim_id, f"reply {i}", cost=0.25)])
            fact = Annotation(pair_id, longest, 0.0, 0.0, False)
            linked = fact if claim_id is None else replace(fact, completion_id=claim_id, slot=0)
            [part] = writer.annotations([linked]).ids
            aspects = (AspectVerdict("clarity", 1.0, 5.0, 4.0), AspectVerdict("truth", None))
            made = Annotation(pair_id, panel, 0.0, 0.0, None, parts=(part,), aspects=aspects)
            writer.annotations([replace(made, strength=Degree(i % 3, 3))])
            writer.memberships([Membership(instruction, "numbers")])


def contents(ledger: Ledger) -> list[str]:
    """Judgements, sets and what was paid for each judgement, without ids."""
    with ledger.reading() as connection:
        linked = ANNOTATION.join(COMPLETION, COMPLETION.c.claim_id == ANNOTATION.c.completion_id)
        query = select(PAIR.c.key, COMPLETION.c.text, COMPLETION.c.cost)
        paid = connection.execute(
            query.select_from(linked.join(PAIR, PAIR.c.id == ANNOTATION.c.pair_id))
        ).all()
        beside = [each for table in BESIDE for each in _beside(connection, table)]
    return sorted(map(repr, [*preference_rows(ledger, RowFilter()), *ledger.memberships(), *paid, *beside]))


def _beside(connection: Connection, table: Table) -> list[tuple[object, ...]]:
    """What stands in a table beside judgements: pair, annotators and values."""
    own, annotator = ANNOTATION, METADATA.tables["annotator"]
    columns = [each for each in table.columns if not each.foreign_keys]
    query = select(literal(table.name), PAIR.c.key, annotator.c.name, *columns)
    found = table.join(own, own.c.id == table.c.annotation_id).join(PAIR).join(annotator)
    if "part_id" in table.columns:
        part = own.alias()
        found = found.join(part, part.c.id == table.c.part_id)
        query = query.add_columns(part.c.preference, part.c.pair_id == own.c.pair_id)
    return [tuple(row) for row in connection.execute(query.select_from(found))]


def test_a_backup_is_the_ledger(ledger_url: str, tmp_path: Path) -> None:
    target = tmp_path / "copies" / "copy.db"
    with Ledger.open(ledger_url, create=True) as ledger:
        fill(ledger, 0, 20)
        size = backup(ledger, target)
        assert size == target.stat().st_size
        with Ledger.open(target) as copy:
            assert copy.counts() == ledger.counts()
            assert contents(copy) == contents(ledger)
        fill(ledger, 20, 21)  # and the ledger goes on
        with pytest.raises(ConfigError, match="file of this name"):
            backup(ledger, target)
    assert [p.name for p in target.parent.iterdir()] == ["copy.db"]


def test_a_backup_while_others_write(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        fill(ledger, 0, 50)
        with ledger.writing() as writer:
            writer.instructions([Instruction("not yet committed")])
            backup(ledger, tmp_path / "copy.db")
        with Ledger.open(tmp_path / "copy.db") as copy:
            assert copy.counts()["instruction"] == 50
            assert ledger.counts()["instruction"] == 51


def test_merging_is_by_content(ledger_url: str, tmp_path: Path) -> None:
    with (
        Ledger.open(ledger_url, create=True) as ours,
        Ledger.open(tmp_path / "theirs.db", create=True) as theirs,
        Ledger.open(tmp_path / "whole.db", create=True) as whole,
    ):
        fill(ours, 0, 12)
        fill(theirs, 8, 30)  # other ids for the same facts
        fill(whole, 0, 30)
        merged = merge(ours, theirs)
        assert merged.added["item"] == 18
        assert merged.conflicts == ()
        assert contents(ours) == contents(whole)
        assert ours.counts() == whole.counts()
        assert not any(merge(ours, theirs).added.values())


def test_contradictions_refuse_the_merger_and_nothing_is_written(tmp_path: Path) -> None:
    with (
        Ledger.open(tmp_path / "ours.db", create=True) as ours,
        Ledger.open(tmp_path / "theirs.db", create=True) as theirs,
    ):
        fill(ours, 1, 4)
        fill(theirs, 2, 10, preference=0.0)
        before = contents(ours)
        with pytest.raises(LedgerError, match=r"2 judgements differ .* preference 1\.0, not 0\.0"):
            merge(ours, theirs)
        assert contents(ours) == before
        merged = merge(ours, theirs, keep_ours=True)
        assert len(merged.conflicts) == 2
        assert set(before) < set(contents(ours))


def test_a_backup_beside_an_older_ledgers_log_is_refused(tmp_path: Path) -> None:
    """SQLite would write that log into the copy: it would hold the older ledger's rows."""
    older, ours = tmp_path / "farm.db", tmp_path / "other.db"
    with Ledger.open(older, create=True) as ledger:
        fill(ledger, 0, 50)
        log = bytes_of(f"{older}-wal")
    older.unlink()
    Path(f"{older}-wal").write_bytes(log)
    with Ledger.open(ours, create=True) as ledger:
        fill(ledger, 100, 400)
        with pytest.raises(ConfigError, match=r"farm\.db-wal is the log of a ledger"):
            backup(ledger, older)
        assert not older.exists()
        Path(f"{older}-wal").unlink()
        backup(ledger, older)
        counts = ledger.counts()
    with Ledger.open(older) as copy:
        assert copy.counts() == counts
