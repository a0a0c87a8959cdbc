"""Judgements with the judge's own words: what was asked here, what was imported, what was taken back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from db.ledger import Ledger
from db.queries.exports import RowFilter, preference_rows
from db.queries.lineage import (
    ItemName,
    Of,
    by_key,
    judgements_of,
    output_ids,
    outputs_by_id,
    places_of,
    shares,
)
from db.queries.recordings import has_recordings, recordings
from db.queries.replies import said_of
from db.records import (
    Annotation,
    AnnotationStatus,
    AnnotatorCard,
    AnnotatorKind,
    Claim,
    Completion,
    Imported,
    Instruction,
    Item,
    Output,
    Pair,
    Question,
    SourceFile,
)
from db.writer import ImportedJudgement

ASKED = Instruction("Say hi.")
PAIR, FLIPPED = Pair.of(Output(ASKED, "first in the source", "m"), Output(ASKED, "second", "n"))
FIRST = 0.0 if FLIPPED else 1.0  # a preference for the source's first output


def fill(ledger: Ledger) -> tuple[int, int, int]:
    """One pair. A judge was asked twice; a file has another's verdict and reply; ada took hers back."""
    with ledger.writing() as writer:
        [pair] = writer.pairs([PAIR])
        judge, imported, ada = writer.annotators(
            [
                AnnotatorCard("judge", AnnotatorKind.LLM),
                AnnotatorCard("imported", AnnotatorKind.LLM),
                AnnotatorCard("ada", AnnotatorKind.HUMAN),
            ]
        )
        for attempt, text in enumerate(("mumble", "A")):
            question = (Question(pair, 0, False),)
            [number] = writer.claims([Claim("k", "d", "run", "{}", question, attempt)])
            assert number is not None
            writer.completions([Completion(number, text)])
            verdict = FIRST if text == "A" else None
            status = AnnotationStatus.OK if text == "A" else AnnotationStatus.UNREADABLE
            fact = Annotation(pair, judge, verdict, verdict, False, status, attempt=attempt)
            writer.annotations([replace(fact, completion_id=number, slot=0)])
        [file] = writer.files([SourceFile("trl", "rows.jsonl", "ab" * 32)])
        [item] = writer.items([Item("study", "item 1", PAIR, FLIPPED)])
        fact = Annotation(pair, imported, FIRST, FIRST, None, item_id=item)
        writer.judgements(
            [ImportedJudgement(fact, Imported(file, raw_completion="as it was imported", price=0.5))]
        )
        writer.annotations([Annotation(pair, ada, 1.0, 1.0, False)])
        writer.annotations([Annotation(pair, ada, None, None, False, AnnotationStatus.RETRACTED, attempt=1)])
    return pair, judge, imported


def test_the_latest_words_of_each_stand_beside_the_verdict(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        pair, *_ = fill(ledger)
        found = [(each.annotator, each.preference, each.reply) for each in said_of(ledger, [pair])]
        assert sorted(found) == [("imported", FIRST, "as it was imported"), ("judge", FIRST, "A")]
        assert list(said_of(ledger, [pair + 1])) == []


def test_replies_are_read_again_from_where_they_were_kept(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        pair, judge, imported = fill(ledger)
        [ours] = recordings(ledger, judge, [pair])
        assert (ours.text, ours.swapped, ours.slot, ours.pairs) == ("A", False, 0, 1)
        [theirs] = recordings(ledger, imported, [pair])
        assert (theirs.text, theirs.swapped) == ("as it was imported", FLIPPED)
        assert theirs.completion_id is None
        assert has_recordings(ledger, imported, "study")
        assert not has_recordings(ledger, imported, "elsewhere")
        assert list(recordings(ledger, judge, [pair], "study")) == []


def test_an_exported_row_has_the_order_of_its_source(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        fill(ledger)
        rows = {row.annotator: row for row in preference_rows(ledger, RowFilter())}
        assert rows.keys() == {"judge", "imported"}
        theirs = rows["imported"]
        assert (theirs.output_1, theirs.output_1_model) == ("first in the source", "m")
        assert (theirs.preference, theirs.price, theirs.item_id) == (1.0, 0.5, "item 1")
        assert (theirs.source, rows["judge"].source) == ("study", "study")
        assert [row.annotator for row in preference_rows(ledger, RowFilter(annotators=("judge",)))] == [
            "judge"
        ]


def test_a_judgement_is_traced_to_its_request_or_its_file(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        pair, judge, imported = fill(ledger)
        asked = judgements_of(ledger, Of(annotator_id=judge), 10)
        assert [(each.attempt, each.status.value, each.slot) for each in asked] == [
            (0, "unreadable", 0),
            (1, "ok", 0),
        ]
        assert len({each.claim_id for each in asked}) == 2
        [read] = judgements_of(ledger, Of(annotator_id=imported), 10)
        assert read.origin is not None
        assert (read.origin.name, read.origin.raw, read.claim_id) == (
            "rows.jsonl",
            "as it was imported",
            None,
        )
        assert [each.judgements for each in shares(ledger, Of(pair_id=pair))] == [1] * 5
        assert len(judgements_of(ledger, Of(producer="m"), 3)) == 3
        assert judgements_of(ledger, Of(producer="nobody"), 3) == []


def test_a_pair_is_found_by_its_key_with_its_outputs_and_its_places(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        pair, *_ = fill(ledger)
        assert [(each.kind, each.id) for each in by_key(ledger, PAIR.key[:12])] == [("pair", pair)]
        assert by_key(ledger, "%") == []  # no wildcard
        ids = output_ids(ledger, pair)
        assert ids is not None
        outputs = outputs_by_id(ledger, ids)
        assert [outputs[number] for number in ids] == [PAIR.output_a, PAIR.output_b]
        assert places_of(ledger, pair) == [ItemName("study", None, "item 1")]
        assert output_ids(ledger, pair + 1) is None
