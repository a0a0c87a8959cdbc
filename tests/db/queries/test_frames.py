"""The frames that an audit reads, worked by hand on a few judgements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from db.ledger import Ledger
from db.queries.frames import judgements
from db.queries.holdings import sources
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

ASK = Instruction("Name a colour.")
ADA = AnnotatorCard("ada", AnnotatorKind.HUMAN, {"imported": True})
RULE = AnnotatorCard("longest", AnnotatorKind.RULE, {"rule": "longest"})


def bulleted(text: str) -> bool:
    return text.startswith("- ")


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger.open(ledger_url, create=True) as opened:
        yield opened


def imported(
    ledger: Ledger, name: str, one: str, two: str, preference: float, source: str = "colours"
) -> int:
    """A person's judgement of (one, two), two shown first; returns the pair's id. P(one preferred)."""
    pair, flipped = Pair.of(Output(ASK, one), Output(ASK, two))
    with ledger.writing() as writer:
        [file_id] = writer.files([SourceFile("preferences", "x", "00")])
        [pair_id], [ada] = writer.pairs([pair]), writer.annotators([ADA])
        [item_id] = writer.items([Item(source, name, pair, flipped, "warm")])
        canonical = 1 - preference if flipped else preference
        fact = Annotation(pair_id, ada, canonical, canonical, swapped=not flipped, item_id=item_id)
        writer.judgements([ImportedJudgement(fact, Imported(file_id, price=0.25, seconds=3.0))])
    return pair_id


def here(ledger: Ledger, pair_id: int, preference: float | None, **changes: object) -> None:
    with ledger.writing() as writer:
        [rule] = writer.annotators([RULE])
        fact = Annotation(pair_id, rule, preference, preference, False)
        writer.annotations([replace(fact, **changes)])  # type: ignore[arg-type]


def test_an_imported_judgement_comes_in_its_sources_orientation(ledger: Ledger) -> None:
    with ledger:
        for i in range(8):  # whatever the canonical order of the hashes
            imported(ledger, str(i), f"- red {i}", f"blue, or so they say {i}", 1.0)
        found = judgements(ledger, bulleted)
    assert found.judgements["preference"].tolist() == [1.0] * 8
    assert found.judgements["swapped"].tolist() == [1] * 8
    assert found.judgements["price"].tolist() == [0.25] * 8
    assert (found.units["length_1"] < found.units["length_2"]).all()
    assert found.units["list_1"].all()
    assert not found.units["list_2"].any()
    assert [card.name for card in found.annotators] == ["ada"]


def test_items_with_the_same_texts_are_two_units_and_share_what_was_judged_here(ledger: Ledger) -> None:
    with ledger:
        pair_id = imported(ledger, "1", "red", "blue", 1.0)
        assert imported(ledger, "2", "red", "blue", 0.0) == pair_id
        here(ledger, pair_id, 0.5)
        found = judgements(ledger, bulleted)
    assert sorted(found.judgements["unit"].tolist()) == [0, 0, 1, 1]
    assert found.judgements.groupby("unit")["preference"].sum().tolist() == [1.5, 0.5]


def test_a_question_numbered_by_two_sources_is_one_unit(ledger: Ledger) -> None:
    with ledger:
        imported(ledger, "1", "red", "blue", 1.0)
        imported(ledger, "1", "red", "blue", 1.0, source="more colours")
        imported(ledger, "3", "red", "green", 1.0, source="more colours")
        assert len(judgements(ledger, bulleted).units) == 2
        one = judgements(ledger, bulleted, source="colours")
        assert (len(one.units), len(one.judgements)) == (1, 2)  # all that is known of its questions counts
        assert len(judgements(ledger, bulleted, source="more colours").units) == 2
        assert len(judgements(ledger, bulleted, source="more colours", subset="cold").units) == 0
        assert sources(ledger) == [("colours", "warm", 1), ("more colours", "warm", 2)]


def test_the_latest_attempt_counts_and_what_was_taken_back_does_not(ledger: Ledger) -> None:
    with ledger:
        first, second = imported(ledger, "1", "red", "blue", 1.0), imported(ledger, "2", "red", "green", 1.0)
        for pair_id in (first, second):
            here(ledger, pair_id, None, status=AnnotationStatus.FAILED, reason="server down")
        here(ledger, first, 1.0, attempt=1)
        here(ledger, second, 1.0, attempt=1)
        here(ledger, second, None, attempt=2, status=AnnotationStatus.RETRACTED)
        here(ledger, second, None, replicate=1, status=AnnotationStatus.SPARED, label=1.0)
        found = judgements(ledger, bulleted).judgements
    rule = found[found["annotator"] == 2]
    assert len(rule) == 1
    assert rule["preference"].notna().all()


def test_labels_are_what_training_sees_the_spared_among_them(ledger: Ledger) -> None:
    with ledger:
        pair_id = imported(ledger, "1", "red", "blue", 1.0)
        here(ledger, pair_id, 0.0, label=1.0)
        here(ledger, pair_id, None, replicate=1, status=AnnotationStatus.SPARED, label=1.0)
        here(ledger, pair_id, None, replicate=2, status=AnnotationStatus.FAILED, reason="server down")
        judged, labelled = (judgements(ledger, bulleted, labels=each).judgements for each in (False, True))
    for frame, count in ((judged, 1), (labelled, 2)):
        rule = frame[frame["annotator"] == 2]
        assert rule["preference"].notna().sum() == count
    assert len(labelled) - len(judged) == 1
    assert judged["preference"].tolist() != labelled["preference"].dropna().tolist()


def test_a_failure_stays_as_a_judgement_without_a_verdict(ledger: Ledger) -> None:
    with ledger:
        here(
            ledger,
            imported(ledger, "1", "red", "blue", 1.0),
            None,
            status=AnnotationStatus.UNREADABLE,
            reason="?",
        )
        found = judgements(ledger, bulleted).judgements
    assert np.isnan(found["preference"]).tolist() == [False, True]


def test_the_price_of_a_completion_is_shared_by_its_pairs(ledger: Ledger) -> None:
    with ledger:
        pairs = [imported(ledger, str(i), "red", f"blue {i}", 1.0) for i in range(2)]
        slots = tuple(Question(pair_id, 0, False) for pair_id in pairs)
        with ledger.writing() as writer:
            [claim_id] = writer.claims([Claim("ab", "cd", "me", "{}", slots)])
            writer.completions([Completion(claim_id or 0, "A B", cost=0.5, seconds=4.0)])
        for i, pair_id in enumerate(pairs):
            here(ledger, pair_id, 1.0, completion_id=claim_id, slot=i)
        found = judgements(ledger, bulleted).judgements
    assert found.loc[found["annotator"] == 2, ["price", "seconds"]].to_numpy().tolist() == [[0.25, 2.0]] * 2


def test_a_source_without_a_subset_has_none_beside_one_that_has(ledger: Ledger) -> None:
    pair, flipped = Pair.of(Output(ASK, "red"), Output(ASK, "blue"))
    with ledger.writing() as writer:
        writer.items([Item("with", "1", pair, flipped, "even"), Item("without", "1", pair, flipped)])
    assert sources(ledger) == [("with", "even", 1), ("without", None, 1)]


def test_pairs_without_items_are_units_of_their_own(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        empty = judgements(ledger, bulleted)
        assert (len(empty.judgements), len(empty.units), empty.annotators) == (0, 0, ())
        with ledger.writing() as writer:
            [loose] = writer.pairs([Pair.of(Output(ASK, "red"), Output(ASK, "red", "other"))[0]])
        here(ledger, loose, 0.5)
        found = judgements(ledger, bulleted)
        assert found.units["identical"].tolist() == [True]
        imported(ledger, "1", "blue", "green", 1.0)
        assert sorted(judgements(ledger, bulleted).units["unit"].tolist()) == [0, 1]


def test_rows_come_in_the_order_of_what_was_asked_not_in_that_of_arrival(ledger: Ledger) -> None:
    with ledger:
        ids = [imported(ledger, name, "red", f"blue {name}", 1.0) for name in ("1", "2")]
        for pair_id in ids[::-1]:
            for replicate in (2, 0, 1):
                here(ledger, pair_id, replicate / 2, replicate=replicate)
        found = judgements(ledger, bulleted).judgements
    rule = found[found["annotator"] == 2]
    assert rule[["unit", "replicate"]].to_numpy().tolist() == [[u, r] for u in (0, 1) for r in (0, 1, 2)]
