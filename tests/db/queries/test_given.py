"""What an annotator has said so far: the latest attempt at each question, those taken back too."""

from __future__ import annotations

from pathlib import Path

from db.ledger import Ledger
from db.queries.given import given_by
from db.records import Annotation, AnnotationStatus, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair

PAIRS = [
    Pair.of(Output(Instruction(f"{i}"), "a", "m"), Output(Instruction(f"{i}"), "b", "n"))[0] for i in range(3)
]


def test_the_latest_attempt_stands_for_its_question(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        with ledger.writing() as writer:
            one, two, three = writer.pairs(PAIRS)
            ada, ben = writer.annotators(
                [AnnotatorCard(name, AnnotatorKind.HUMAN) for name in ("ada", "ben")]
            )
            taken_back = AnnotationStatus.RETRACTED
            writer.annotations(
                [
                    Annotation(one, ada, 1.0, 1.0, False),
                    Annotation(one, ada, 0.0, 0.0, True),  # the other order is another question
                    Annotation(two, ada, 1.0, 1.0, False),
                    Annotation(one, ada, None, None, False, taken_back, attempt=1),
                    Annotation(two, ada, None, None, False, taken_back, attempt=1),
                    Annotation(two, ada, 0.5, 0.5, False, attempt=2),
                    Annotation(three, ada, 1.0, 1.0, False, replicate=1),  # a replicate is no answer to it
                    Annotation(three, ada, 1.0, 1.0, None),  # nor is one of an unknown order
                    Annotation(three, ben, 1.0, 1.0, False),
                ]
            )
        found = given_by(ledger, ada)
        assert [(each.pair_key, each.swapped, each.attempt, each.preference) for each in found] == [
            (PAIRS[0].key, True, 0, 0.0),
            (PAIRS[0].key, False, 1, None),
            (PAIRS[1].key, False, 2, 0.5),
        ]
        assert [each.status for each in found] == [AnnotationStatus.OK, taken_back, AnnotationStatus.OK]
        assert [each.seconds for each in found] == [None] * 3
        assert [each.pair_key for each in given_by(ledger, ben)] == [PAIRS[2].key]
