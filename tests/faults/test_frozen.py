"""What reads more than once sees one state of the ledger, whatever another process writes in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import event

from db.ledger import Ledger
from db.maintenance import backup
from db.queries.exports import RowFilter
from db.records import (
    Annotation,
    AnnotatorCard,
    AnnotatorKind,
    Instruction,
    Item,
    Membership,
    Output,
    Pair,
    Use,
)
from db.writer import Writer
from farm.audit import AuditOptions, audit_ledger
from farm.evaluation.label_order import by_doubt
from farm.evaluation.rankings import rank_agreement
from farm.export import card_path, export_file
from farm.leaderboard import LeaderboardOptions, leaderboard, strengths
from farm.pages.report.page import page
from farm.people import may_replace, people_win_rate
from farm.report import ReportOptions, compose
from farm.status import status

JUDGE = AnnotatorCard("judge", AnnotatorKind.LLM)
PEOPLE = [AnnotatorCard(name, AnnotatorKind.HUMAN) for name in ("ada", "ben", "cy")]
BOARD = LeaderboardOptions("judge", reference="ref", draws=20)


def judged(writer: Writer, number: int, *new: AnnotatorCard) -> None:
    """A question of the source `s` about a model and the reference, judged by all."""
    asked = Instruction(f"ask {number}")
    writer.memberships([Membership(asked, "set", Use.EVAL)])
    model = Output(asked, f"one {number}", f"m{number % 3}")
    pair, flipped = Pair.of(model, Output(asked, "two", "ref"))
    [item] = writer.items([Item("s", f"{number}", pair, flipped)])
    [pair_id] = writer.pairs([pair])
    people = writer.annotators([*PEOPLE, *new])
    [judge] = writer.annotators([JUDGE])
    facts = [Annotation(pair_id, judge, float(number % 2), float(number % 2), False)]
    for place, person in enumerate(people):
        preference = float((number + place) % 3 > 0)
        facts.append(Annotation(pair_id, person, preference, preference, False, item_id=item))
    writer.annotations(facts)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger.open(ledger_url, create=True) as opened:
        with opened.writing() as writer:
            for number in range(24):
                judged(writer, number)
        yield opened


@contextmanager
def disturbed(ledger: Ledger) -> Iterator[list[int]]:
    """In the block another process writes after every read. Gives the numbers of what it wrote."""
    written: list[int] = []
    numbers = count(1000)
    address = ledger.address.path or ledger.address.url.render_as_string(hide_password=False)

    def after(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if not statement.startswith(("SELECT", "FETCH")):
            return
        number = next(numbers)
        with other.writing() as writer:
            judged(writer, number, AnnotatorCard(f"new {number}", AnnotatorKind.HUMAN))
        written.append(number)

    with Ledger.open(address) as other:
        event.listen(ledger._engine, "after_cursor_execute", after)
        try:
            yield written
        finally:
            event.remove(ledger._engine, "after_cursor_execute", after)


def exported(ledger: Ledger, folder: Path) -> object:
    file = folder / "rows.jsonl"
    rows = export_file(ledger, "preferences", file, RowFilter())
    found = rows, file.read_bytes(), card_path(file).read_text()
    file.unlink()
    return found


def copied(ledger: Ledger, folder: Path) -> object:
    backup(ledger, folder / "copy.db")
    with Ledger.open(folder / "copy.db") as copy:
        found = copy.counts(), str(audit_ledger(copy, AuditOptions()).to_json())
    (folder / "copy.db").unlink()
    return found


READ: dict[str, Callable[[Ledger, Path], object]] = {
    "status": lambda ledger, _: status(ledger),
    "audit": lambda ledger, _: str(audit_ledger(ledger, AuditOptions()).to_json()),
    "leaderboard": lambda ledger, _: str(leaderboard(ledger, BOARD).to_json()),
    "strengths": lambda ledger, _: str(strengths(ledger, replace(BOARD, set_name="set")).to_json()),
    "report": lambda ledger, _: page(replace(compose(ledger, ReportOptions()), made="now")),
    "people win-rate": lambda ledger, _: str(people_win_rate(ledger, "judge").to_json()),
    "people next": lambda ledger, _: by_doubt(ledger, "judge").to_csv(),
    "people rank": lambda ledger, _: str(rank_agreement(ledger, "human", "judge").to_json()),
    "people replace": lambda ledger, _: str([each.to_json() for each in may_replace(ledger, min_items=2)]),
    "export": exported,
    "backup": copied,
}


@pytest.mark.parametrize("name", READ)
def test_another_writer_is_not_seen_between_two_reads(ledger: Ledger, tmp_path: Path, name: str) -> None:
    calm = READ[name](ledger, tmp_path)
    with disturbed(ledger) as written:
        assert READ[name](ledger, tmp_path) == calm
    if name != "backup" or ledger.address.path is None:  # a file is copied page by page, without SQL
        assert len(written) > 1
        assert READ[name](ledger, tmp_path) != calm


def test_a_frozen_state_ends_with_its_block_and_may_be_nested(ledger: Ledger) -> None:
    before = ledger.counts()
    with disturbed(ledger):
        with ledger.frozen(), ledger.frozen():
            assert ledger.counts() == ledger.counts() == before
        assert ledger.counts() != before
