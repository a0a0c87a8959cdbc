"""What judgements cost, on a bill worked by hand."""

from __future__ import annotations

from pathlib import Path

from db.ledger import Ledger
from db.queries.costs import PROPOSING, Spent, paid_in_all, spent, spent_on_proposals
from db.records import (
    Annotation,
    AnnotatorCard,
    AnnotatorKind,
    Claim,
    Completion,
    Instruction,
    Output,
    Pair,
    Question,
)


def test_a_request_of_several_pairs_is_paid_once_and_a_second_sending_counts(tmp_path: Path) -> None:
    """Cheap asked one request of two pairs, sent three times; dear two requests, one of unknown price."""
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        with ledger.writing() as writer:
            pairs = [
                Pair.of(Output(Instruction(f"{i}"), "a", "m"), Output(Instruction(f"{i}"), "b", "n"))[0]
                for i in range(2)
            ]
            one, two = writer.pairs(pairs)
            cheap, dear, person = writer.annotators(
                [
                    AnnotatorCard("cheap", AnnotatorKind.LLM),
                    AnnotatorCard("dear", AnnotatorKind.LLM),
                    AnnotatorCard("person", AnnotatorKind.HUMAN),
                ]
            )
            slots = (Question(one, 0, False), Question(two, 0, False))
            claimed = writer.claims(
                [
                    Claim("both", "c", "run", "{}", slots),
                    Claim("first", "d", "run", "{}", slots[:1]),
                    Claim("second", "d", "run", "{}", slots[1:]),
                ]
            )
            both, first, second = (number for number in claimed if number is not None)
            writer.completions(
                [
                    Completion(both, "A B", prompt_tokens=100, completion_tokens=2, sendings=3, cost=0.25),
                    Completion(first, "A", prompt_tokens=60, completion_tokens=1, cost=0.5),
                    Completion(second, "A", prompt_tokens=70, completion_tokens=1, cost=None),
                ]
            )
            writer.annotations(
                [
                    Annotation(one, cheap, 1.0, 1.0, False, completion_id=both, slot=0),
                    Annotation(two, cheap, 0.0, 0.0, False, completion_id=both, slot=1),
                    Annotation(one, dear, 1.0, 1.0, False, completion_id=first, slot=0),
                    Annotation(two, dear, 1.0, 1.0, False, completion_id=second, slot=0),
                    Annotation(one, person, 1.0, 1.0, False),
                ]
            )
        assert paid_in_all(ledger) == 0.75
        assert spent(ledger) == [
            Spent("dear", AnnotatorKind.LLM, 2, 2, 130, 2, 0.5, 1),
            Spent("cheap", AnnotatorKind.LLM, 2, 3, 100, 2, 0.25, 0),
        ]


def test_the_replies_of_a_proposer_are_paid_though_no_judgement_rests_on_them(tmp_path: Path) -> None:
    """Two of a proposer, one of them sent twice. One of a model that drew an output is no judging."""
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        assert spent_on_proposals(ledger) is None
        with ledger.writing() as writer:
            asked = [Claim("a", PROPOSING, "run", "{}", ()), Claim("b", PROPOSING, "run", "{}", ())]
            first, second, other = writer.claims([*asked, Claim("c", "sample", "run", "{}", ())])
            writer.completions(
                [
                    Completion(first or 0, "Rule: x", prompt_tokens=100, completion_tokens=2, cost=0.25),
                    Completion(second or 0, "Rule: y", prompt_tokens=50, completion_tokens=3, sendings=2),
                    Completion(other or 0, "an output", prompt_tokens=7, completion_tokens=7, cost=9.0),
                ]
            )
        assert paid_in_all(ledger) == 0.25
        assert spent_on_proposals(ledger) == Spent("proposer", AnnotatorKind.LLM, 0, 3, 150, 5, 0.25, 1)


def test_nobody_was_paid_in_a_new_ledger(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        assert spent(ledger) == []
        assert spent_on_proposals(ledger) is None
        assert paid_in_all(ledger) == 0
