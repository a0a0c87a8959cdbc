"""Who met whom: one row per judgement that stands, in its pair's own orientation."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from db.ledger import Ledger
from db.queries.contests import COLUMNS, contests
from db.records import (
    Annotation,
    AnnotationStatus,
    AnnotatorCard,
    AnnotatorKind,
    Instruction,
    Item,
    Output,
    Pair,
)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger.open(ledger_url, create=True) as opened:
        yield opened


def pair_of(text: str) -> tuple[Pair, bool]:
    asked = Instruction(text)
    return Pair.of(Output(asked, "yes", "x"), Output(asked, "no", "y"))


def test_an_empty_ledger_has_the_columns(ledger: Ledger) -> None:
    with ledger:
        found = contests(ledger)
    assert list(found.columns) == list(COLUMNS)
    assert found.empty


def test_the_latest_attempt_stands_and_what_was_taken_back_does_not(ledger: Ledger) -> None:
    with ledger:
        with ledger.writing() as writer:
            made = [pair_of(text) for text in ("one", "two", "three")]
            ids = writer.pairs([pair for pair, _ in made])
            writer.items([Item("s", "1", made[0][0], made[0][1], "t")])
            [llm, ann] = writer.annotators(
                [AnnotatorCard("judge", AnnotatorKind.LLM), AnnotatorCard("ann", AnnotatorKind.HUMAN)]
            )
            writer.annotations(
                [
                    Annotation(ids[0], llm, None, None, True, AnnotationStatus.FAILED, "500"),
                    Annotation(ids[0], llm, 1.0, 0.0, True, attempt=1),
                    Annotation(ids[0], llm, 0.25, 0.25, False),
                    Annotation(ids[1], llm, None, 1.0, False, AnnotationStatus.SPARED),
                    Annotation(ids[2], ann, 0.5, 0.5, None),
                    Annotation(ids[1], ann, 1.0, 1.0, None),
                    Annotation(ids[1], ann, None, None, None, AnnotationStatus.RETRACTED, attempt=1),
                ]
            )
        found = contests(ledger)
        sliced = contests(ledger, "s", "t")
        assert contests(ledger, "s", "other").empty
    asked = found[["pair_id", "annotator", "swapped"]].to_numpy(int).tolist()
    said = found[["preference", "label", "status"]].to_numpy(object).tolist()
    rows = {tuple(key): tuple(values) for key, values in zip(asked, said, strict=True)}
    assert len(rows) == 4
    assert rows[ids[0], llm, 1] == (1.0, 0.0, "ok")
    assert rows[ids[0], llm, 0] == (0.25, 0.25, "ok")
    assert math.isnan(rows[ids[1], llm, 0][0])
    assert rows[ids[1], llm, 0][1:] == (1.0, "spared")
    assert rows[ids[2], ann, -1] == (0.5, 0.5, "ok")
    first = made[0][0]
    assert set(zip(sliced["model_a"], sliced["model_b"], sliced["key"], strict=True)) == {
        (first.output_a.producer, first.output_b.producer, first.key)
    }


def test_rows_come_in_an_order_of_their_content_not_in_that_of_arrival(ledger: Ledger) -> None:
    """So that what is computed from them is the same to the last bit, in whichever order it was imported."""
    cards = [AnnotatorCard(name, AnnotatorKind.LLM) for name in ("judge", "other")]
    verdicts = [
        (pair_of(text)[0], who, swapped, replicate, value)
        for text, value in (("one", 1.0), ("two", 0.0), ("three", 0.25))
        for who in (0, 1)
        for replicate in (0, 1)
        for swapped in (False, True)
    ]
    with ledger:
        for pair, who, swapped, replicate, value in verdicts[::-1]:
            with ledger.writing() as writer:
                [pair_id] = writer.pairs([pair])
                [card] = writer.annotators([cards[who]])
                writer.annotations([Annotation(pair_id, card, value, value, swapped, replicate=replicate)])
        found = contests(ledger)
    columns = ["key", "swapped", "replicate", "preference"]
    asked = sorted(
        (pair.key, int(swapped), replicate, value) for pair, _, swapped, replicate, value in verdicts
    )
    assert list(found[columns].itertuples(index=False, name=None)) == asked
    assert set(found["instruction"]) == {pair.instruction.key for pair, *_ in verdicts}


def test_a_judgement_under_several_items_is_one(ledger: Ledger) -> None:
    """Two sources bring the same judgement. Where a person says otherwise of another, the mean counts."""
    with ledger:
        with ledger.writing() as writer:
            (pair, _), (other, _) = pair_of("one"), pair_of("two")
            ids = writer.pairs([pair, other])
            items = writer.items([Item(source, "1", pair, False, None) for source in "abc"])
            [ann] = writer.annotators([AnnotatorCard("ann", AnnotatorKind.HUMAN)])
            said: list[tuple[float | None, int, int]] = [
                (1.0, items[0], 0), (1.0, items[1], 0), (None, items[2], 0),
                (1.0, items[0], 1), (0.0, items[1], 1),
            ]  # fmt: skip
            rows = [
                Annotation(
                    ids[0], ann, value, value, None,
                    AnnotationStatus.UNREADABLE if value is None else AnnotationStatus.OK,
                    "?" if value is None else None,
                    item_id=item, replicate=replicate,
                )
                for value, item, replicate in said
            ]  # fmt: skip
            writer.annotations([*rows, Annotation(ids[1], ann, 0.25, 0.25, None)])
        found = contests(ledger)
    kept = found[["pair_id", "replicate", "preference", "label", "status"]]
    assert sorted(kept.itertuples(index=False, name=None)) == [
        (ids[0], 0, 1.0, 1.0, "ok"),
        (ids[0], 1, 0.5, 0.5, "ok"),
        (ids[1], 0, 0.25, 0.25, "ok"),
    ]
