"""`farm snapshot`: judgements frozen by content, which nothing changes afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.errors import ConfigError
from db.ledger import Ledger
from db.queries import training
from db.records import (
    Annotation,
    AnnotationStatus,
    AnnotatorCard,
    AnnotatorKind,
    Degree,
    Instruction,
    Output,
    Pair,
)
from farm.snapshot import Choice, snapshot
from tests.support.command_line import farm, refused, told
from tests.support.judged_sums import ADA, write_sums


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Forty judged pairs."""
    path = tmp_path / "farm.db"
    with Ledger.open(path, create=True) as opened, opened.writing() as writer:
        write_sums(writer)
    return path


def test_a_snapshot_is_frozen_by_content(ledger: Path) -> None:
    with Ledger.open(ledger) as opened:
        first = snapshot(opened, "people", Choice(("ada",)))
        assert first == snapshot(opened, "people", Choice(("ada",)))
        with opened.writing() as writer:  # a later attempt takes the first judgement back
            writer.annotations([Annotation(1, 1, None, None, False, AnnotationStatus.RETRACTED, attempt=1)])
        with pytest.raises(ConfigError, match=r"another content \(40 rows\)"):
            snapshot(opened, "people", Choice(("ada",)))
        second = snapshot(opened, "fewer", Choice())
        assert (second.card.rows, first.card.rows) == (39, 40)
        assert len(list(training.labelled(opened, first.card.id))) == 40  # the first stays as it was
        assert snapshot(opened, "human", Choice(("human",))).card.rows == 39
        with pytest.raises(ConfigError, match="no annotator 'bob'"):
            snapshot(opened, "x", Choice(("bob",)))


def test_identical_outputs_are_left_out_and_labels_are_what_training_sees(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x.db", create=True) as opened:
        ask = Instruction("Say hi.")
        same = Pair.of(Output(ask, "hi", "m"), Output(ask, "hi", "n"))[0]
        other = Pair.of(Output(ask, "hi", "m"), Output(ask, "hello", "n"))[0]
        with opened.writing() as writer:
            [ada] = writer.annotators([ADA])
            for pair_id in writer.pairs([same, other]):
                writer.annotations([Annotation(pair_id, ada, 1.0, 0.0, False)])
        report = snapshot(opened, "x", Choice())
        assert (report.card.rows, report.identical) == (1, 1)
        [row] = training.labelled(opened, report.card.id)
        assert (row.output_a, row.output_b, row.label) == (other.output_a.text, other.output_b.text, 0.0)


def test_the_command_freezes_what_it_is_told_to(sums_ledger: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "farm.db"
    told(sums_ledger, "backup", ledger)
    asked = ("--annotator", "ada", "--source", "sums", "--subset", "even")
    first = told(ledger, "snapshot", "even", *asked)
    assert first == told(ledger, "snapshot", "even", *asked)  # again is harmless
    whole = told(ledger, "snapshot", "ada", "--annotator", "ada")
    assert (first["rows"], whole["rows"], first["identical_left_out"]) == (120, 240, 0)
    assert first["key"] != whole["key"]
    with Ledger.open(ledger) as opened:
        assert [card.name for card in training.snapshots(opened)] == ["even", "ada"]
    shown = farm(ledger, "snapshot", "even", *asked).out
    assert shown == f"snapshot even: 120 judgements, {first['key']}\n"


def test_both_orders_can_count_once(sums_ledger: Path, tmp_path: Path) -> None:
    """The strict judge saw each of the 240 pairs in both orders."""
    ledger = tmp_path / "farm.db"
    told(sums_ledger, "backup", ledger)
    asked = ("--annotator", "strict-judge")
    each = told(ledger, "snapshot", "each", *asked)
    mean = told(ledger, "snapshot", "mean", *asked, "--average-orders")
    assert each["rows"] == mean["rows"] == 480
    with Ledger.open(ledger) as opened:
        cards = {card.name: card for card in training.snapshots(opened)}
        averaged = list(training.labelled(opened, cards["mean"].id))
        assert list(training.labelled(opened, cards["each"].id)) == averaged
    assert len(averaged) == 240
    assert {row.label for row in averaged} <= {0.0, 0.5, 1.0}


def test_what_cannot_be_frozen_is_said_in_a_line(ledger: Path) -> None:
    told(ledger, "snapshot", "people")
    with Ledger.open(ledger) as opened, opened.writing() as writer:
        writer.annotations([Annotation(1, 1, None, None, False, AnnotationStatus.RETRACTED, attempt=1)])
    assert "choose another name" in refused(ledger, "snapshot", "people")
    assert "there is nothing to freeze" in refused(ledger, "snapshot", "x", "--source", "nowhere")
    no_ratings = refused(ledger, "snapshot", "x", "--unpaired")
    assert "there is nothing to freeze (import rows of single outputs)" in no_ratings
    assert "no annotator 'bob' judged here" in refused(ledger, "snapshot", "x", "--annotator", "bob")


def test_strengths_reach_training_as_shares_of_their_scale(tmp_path: Path) -> None:
    """By hand: ada 2/3 for a and the judge 1/2 for b: b leads by (1/2 - 2/3) / 2 = -1/12, so a by 1/12; the
    label of two voices is a tie in pair 1. Alone, each keeps its own."""
    ask = Instruction("Say hi.")
    texts = (("hi", "ho"), ("ha", "hu"), ("he", "hy"))
    pairs = [Pair.of(Output(ask, a, "m"), Output(ask, b, "n"))[0] for a, b in texts]
    judge = AnnotatorCard("judge", AnnotatorKind.LLM)
    with Ledger.open(tmp_path / "x.db", create=True) as opened:
        with opened.writing() as writer:
            ada, other = writer.annotators([ADA, judge])
            one, two, three = writer.pairs(pairs)
            writer.annotations(
                [
                    Annotation(one, ada, 1.0, 1.0, None, strength=Degree(2, 3)),
                    Annotation(one, other, 0.0, 0.0, False, strength=Degree(1, 2)),
                    Annotation(two, ada, 0.0, 0.0, None, strength=Degree(1, 3)),
                    Annotation(two, other, 0.0, 1.0, False, strength=Degree(2, 2)),  # its label was flipped
                    Annotation(two, other, 0.0, 0.0, True, strength=Degree(1, 2)),
                    Annotation(three, ada, 1.0, 1.0, None),
                ]
            )

        def strengths(name: str, **choice: object) -> list[float]:
            card = snapshot(opened, name, Choice(**choice)).card  # type: ignore[arg-type]
            found = {row.output_a: row.strength for row in training.labelled(opened, card.id)}
            return [round(found[pair.output_a.text], 6) for pair in pairs if pair.output_a.text in found]

        assert strengths("ada", annotators=("ada",)) == [0.666667, 0.333333, 0.0]
        # pair 2: the judge leads by (1 - 1/2) / 2 = 1/4 for a, ada by 1/3 for b: b by 1/24; label 1/4
        assert strengths("all") == [0.0, 0.041667, 0.0]
        assert strengths("mean", annotators=("judge",), average_orders=True) == [0.5, 0.0]
