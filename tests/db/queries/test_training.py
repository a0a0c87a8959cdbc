"""What a snapshot freezes, and what training reads of it: the latest labels, by content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from db.ledger import Ledger
from db.queries.training import Labelled, choose, demonstrated, instructed, labelled
from db.records import (
    Annotation,
    AnnotationStatus,
    AnnotatorCard,
    AnnotatorKind,
    Instruction,
    Membership,
    Output,
    Pair,
    ProducerKind,
)

ADA = AnnotatorCard("ada", AnnotatorKind.HUMAN)
LABELS = (1.0, 0.0, 0.5, 1.0)
PAIRS = [
    Pair.of(Output(Instruction(f"{i}"), f"yes {i}", "m"), Output(Instruction(f"{i}"), f"no {i}", "n"))[0]
    for i in range(4)
]


def frozen(path: Path, order: Sequence[int]) -> tuple[str, list[Labelled]]:
    """The key and the rows of a snapshot of judgements that were written in this order."""
    with Ledger.open(path, create=True) as ledger:
        with ledger.writing() as writer:
            [ada] = writer.annotators([ADA])
            for i in order:
                [pair] = writer.pairs([PAIRS[i]])
                writer.annotations([Annotation(pair, ada, 0.0, LABELS[i], False)])
        chosen = choose(ledger, ["ada"], None, None)
        with ledger.writing() as writer:
            number = writer.snapshot("s", chosen.key, "{}", chosen.annotation_ids)
        return chosen.key, list(labelled(ledger, number))


def test_a_snapshot_is_its_content_in_whatever_order_it_was_written(tmp_path: Path) -> None:
    key, rows = frozen(tmp_path / "one.db", (0, 1, 2, 3))
    assert frozen(tmp_path / "other.db", (3, 1, 0, 2)) == (key, rows)
    expected = sorted(range(4), key=lambda i: PAIRS[i].key)
    assert [row.label for row in rows] == [LABELS[i] for i in expected]
    assert [row.instruction for row in rows] == [PAIRS[i].instruction for i in expected]
    assert frozen(tmp_path / "fewer.db", (0, 1, 2))[0] != key


def test_failures_and_what_was_taken_back_are_left_out(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        with ledger.writing() as writer:
            [ada] = writer.annotators([ADA])
            one, two, three, four = writer.pairs(PAIRS)
            writer.annotations(
                [
                    Annotation(one, ada, 1.0, 1.0, False),
                    Annotation(two, ada, 1.0, 1.0, False),
                    Annotation(two, ada, None, None, False, AnnotationStatus.RETRACTED, attempt=1),
                    Annotation(three, ada, None, None, False, AnnotationStatus.UNREADABLE, "mumbled"),
                    Annotation(four, ada, None, None, False, AnnotationStatus.FAILED, "timeout"),
                    Annotation(four, ada, 0.0, 0.0, False, attempt=1),  # tried again, with success
                ]
            )
        assert choose(ledger, [], None, None).annotation_ids == (1, 6)
        assert choose(ledger, ["nobody"], None, None).annotation_ids == ()
        assert choose(ledger, [], "nowhere", None).annotation_ids == ()


def test_averaged_orders_need_both(tmp_path: Path) -> None:
    """Pair one said 1 and 0 in its two orders: one half. Pair two has no verdict in the second: neither."""
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        with ledger.writing() as writer:
            [ada] = writer.annotators([ADA])
            one, two = writer.pairs(PAIRS[:2])
            writer.annotations(
                [
                    Annotation(one, ada, 1.0, 1.0, False),
                    Annotation(one, ada, 0.0, 0.0, True),
                    Annotation(two, ada, 1.0, 1.0, False),
                    Annotation(two, ada, None, None, True, AnnotationStatus.UNREADABLE, "mumbled"),
                ]
            )
        apart, mean = (choose(ledger, [], None, None, average) for average in (False, True))
        assert apart.annotation_ids == (1, 2, 3)
        assert mean.annotation_ids == (1, 2)
        with ledger.writing() as writer:
            number = writer.snapshot("mean", mean.key, '{"average_orders":true}', mean.annotation_ids)
        [row] = labelled(ledger, number)
        assert (row.instruction, row.label) == (PAIRS[0].instruction, 0.5)


def test_a_pair_is_learnt_from_once_however_often_it_was_judged(tmp_path: Path) -> None:
    """Ada twice for a, in both orders and two replicates; ben for b; cleo for a: (1 + 0 + 1) / 3.

    The same texts of other models, the other way round, are the same pair: dan's vote for b there counts too.
    """
    asked = Instruction("0")
    [first, second] = (
        Pair.of(Output(asked, "yes 0", one), Output(asked, "no 0", other)) for one, other in ("mn", "pq")
    )
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        with ledger.writing() as writer:
            people = [AnnotatorCard(name, AnnotatorKind.HUMAN) for name in ("ada", "ben", "cleo", "dan")]
            ada, ben, cleo, dan = writer.annotators(people)
            one, other = writer.pairs([first[0], second[0]])
            yes = float(first[0].output_a.text == "yes 0")
            no = float(second[0].output_a.text == "no 0")
            writer.annotations(
                [
                    Annotation(one, ada, yes, yes, False),
                    Annotation(one, ada, yes, yes, True),
                    Annotation(one, ada, yes, yes, False, replicate=1),
                    Annotation(one, ben, 1 - yes, 1 - yes, False),
                    Annotation(one, cleo, yes, yes, False),
                    Annotation(other, dan, no, no, False),
                ]
            )
        chosen = choose(ledger, [], None, None)
        with ledger.writing() as writer:
            number = writer.snapshot("s", chosen.key, "{}", chosen.annotation_ids)
        [row] = labelled(ledger, number)
    assert len(chosen.annotation_ids) == 6
    share = row.label if row.output_a == "yes 0" else 1 - row.label
    assert share == pytest.approx((1 + 0 + 1 + 0) / 4)


def test_demonstrations_are_the_reference_answers_of_a_set(tmp_path: Path) -> None:
    hi, bye, other = Instruction("Say hi."), Instruction("Say bye.", "to ada"), Instruction("Say no.")
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        with ledger.writing() as writer:
            writer.memberships([Membership(each, "said") for each in (hi, bye, hi)])
            writer.memberships([Membership(hi, "again"), Membership(other, "again")])
            writer.outputs(
                [
                    Output(bye, "bye, ada", "ada", ProducerKind.REFERENCE),
                    Output(hi, "hi", "ada", ProducerKind.REFERENCE),
                    Output(hi, "hi, says a model", "m"),
                    Output(other, "no", "ada", ProducerKind.REFERENCE),
                ]
            )
        assert [(each.instruction, each.output) for each in demonstrated(ledger, "said")] == [
            (bye, "bye, ada"),
            (hi, "hi"),
        ]
        assert list(instructed(ledger, "said")) == [hi, bye]
        assert not [*instructed(ledger, "nowhere"), *demonstrated(ledger, "nowhere")]


@pytest.mark.parametrize("annotators", [[], ["ada"]])
def test_pairs_of_equal_texts_are_counted_and_left_out(tmp_path: Path, annotators: list[str]) -> None:
    same = Pair.of(Output(Instruction("x"), "y", "m"), Output(Instruction("x"), "y", "n"))[0]
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        with ledger.writing() as writer:
            [ada] = writer.annotators([ADA])
            writer.annotations(
                [Annotation(pair, ada, 1.0, 1.0, False) for pair in writer.pairs([same, PAIRS[0]])]
            )
        chosen = choose(ledger, annotators, None, None)
        assert (chosen.annotation_ids, chosen.identical) == ((2,), 1)
