"""The ledger's contract, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from db.errors import LedgerError
from db.ledger import Ledger, PairFilter
from db.queries import lineage, training
from db.queries.outputs import outputs_of
from db.records import (
    Annotation,
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
    ProducerKind,
    Question,
    Rating,
    Run,
    Source,
    SourceFile,
    Turn,
    TurnRole,
    Use,
)
from db.tables import METADATA
from db.writer import ImportedJudgement

HI = Instruction("Say hi.")
TALK = Instruction.of_turns(
    [
        Turn(TurnRole.SYSTEM, "Be brief."),
        Turn(TurnRole.USER, 'Name a "colour".'),
        Turn(TurnRole.ASSISTANT, "red\n\nUser: ß"),
        Turn(TurnRole.TOOL, ""),
        Turn(TurnRole.USER, "Another."),
    ]
)
CARD = AnnotatorCard("longest", AnnotatorKind.RULE, {"rule": "longest"})


def pair(a: str = "hi", b: str = "hello", instruction: Instruction = HI) -> Pair:
    return Pair.of(Output(instruction, a, "m"), Output(instruction, b, "n"))[0]


def judgement(ledger: Ledger, **changes: object) -> Annotation:
    with ledger.writing() as writer:
        [pair_id] = writer.pairs([pair()])
        [annotator_id] = writer.annotators([CARD])
    return replace(Annotation(pair_id, annotator_id, 1.0, 1.0, False), **changes)  # type: ignore[arg-type]


def test_writing_twice_adds_nothing(ledger_url: str) -> None:
    with Ledger.open(ledger_url, create=True) as ledger:
        for _ in range(2):
            with ledger.writing() as writer:
                assert writer.pairs([pair(), pair("hello", "hi")]) == writer.pairs(
                    [pair(), pair("hello", "hi")]
                )
        assert ledger.counts() == dict.fromkeys(ledger.counts(), 0) | {
            "instruction": 1,
            "output": 4,
            "pair": 2,
        }


def test_a_pair_is_the_same_in_either_order() -> None:
    one, two = Output(HI, "hi", "m"), Output(HI, "hello", "n")
    (first, flipped), (second, unflipped) = Pair.of(one, two), Pair.of(two, one)
    assert first == second
    assert flipped is not unflipped


def test_a_pair_answers_one_instruction() -> None:
    with pytest.raises(ValueError, match="one instruction"):
        Pair.of(Output(HI, "hi"), Output(Instruction("Say bye."), "bye"))


def test_identity_is_known_by_content_alone() -> None:
    # Worked outside: sha256 of 'preference-farm/1/instruction\n["Say hi.",""]', first 32 hex digits.
    import hashlib

    digest = hashlib.sha256(b'preference-farm/1/instruction\n["Say hi.",""]').hexdigest()
    assert HI.key == digest[:32]
    assert AnnotatorCard("x", AnnotatorKind.LLM, {"a": 1, "b": 2}).key == (
        AnnotatorCard("x", AnnotatorKind.LLM, {"b": 2, "a": 1}).key
    )


def test_a_judgement_written_again_is_known(ledger_url: str) -> None:
    with Ledger.open(ledger_url, create=True) as ledger:
        fact = judgement(ledger)
        with ledger.writing() as writer:
            assert writer.annotations([fact]).added == 1
            assert writer.annotations([fact, fact]).known == 2
        assert ledger.counts()["annotation"] == 1


def test_another_verdict_under_the_same_key_is_a_conflict_and_is_not_written(ledger_url: str) -> None:
    with Ledger.open(ledger_url, create=True) as ledger:
        fact = judgement(ledger)
        with ledger.writing() as writer:
            writer.annotations([fact])
            written = writer.annotations([replace(fact, swapped=True), replace(fact, preference=0.0)])
        assert (written.added, written.known, written.conflicts[0].place) == (1, 0, 1)
        assert "preference 1.0, not 0.0" in written.conflicts[0].reason


@pytest.mark.parametrize("change", [{"replicate": 1}, {"attempt": 1}, {"swapped": True}, {"swapped": None}])
def test_what_makes_another_judgement(ledger_url: str, change: dict[str, object]) -> None:
    with Ledger.open(ledger_url, create=True) as ledger:
        fact = judgement(ledger)
        with ledger.writing() as writer:
            assert writer.annotations([fact, replace(fact, **change)]).added == 2  # type: ignore[arg-type]


def test_an_unknown_order_is_one_value(ledger_url: str) -> None:
    with Ledger.open(ledger_url, create=True) as ledger:
        fact = judgement(ledger, swapped=None)
        with ledger.writing() as writer:
            writer.annotations([fact])
            assert writer.annotations([fact]).known == 1


def test_what_stands_beside_a_judgement_may_come_later(ledger_url: str) -> None:
    """A file that an older release read without strengths is read again: each gets its own once."""
    with Ledger.open(ledger_url, create=True) as ledger:
        fact = judgement(ledger)
        strong = replace(fact, strength=Degree(2, 3), aspects=(AspectVerdict("truth", 0.5, 4.0, 4.0),))
        with ledger.writing() as writer:
            [number] = writer.annotations([fact]).ids
            again = [writer.annotations([strong]), writer.annotations([strong])]
            assert [(each.known, each.ids) for each in again] == [(1, (number,))] * 2
        for table, row in (("strength", (number, 2, 3)), ("aspect", (number, "truth", 0.5, 4.0, 4.0))):
            with ledger.reading() as connection:
                assert connection.execute(METADATA.tables[table].select()).all() == [row]


def test_a_batch_is_visible_whole_or_not_at_all(ledger_url: str) -> None:
    with Ledger.open(ledger_url, create=True) as ledger:
        with pytest.raises(RuntimeError, match="in the middle"), ledger.writing() as writer:
            writer.pairs([pair()])
            raise RuntimeError("in the middle")
        assert not any(ledger.counts().values())


@pytest.mark.parametrize("verb", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_facts_cannot_be_changed(ledger_url: str, verb: str) -> None:
    with Ledger.open(ledger_url, create=True) as ledger:
        fact = judgement(ledger)
        with ledger.writing() as writer:
            writer.annotations([fact])
            beside = {"strength": Degree(1, 3), "aspects": (AspectVerdict("clarity", 1.0),), "parts": (1,)}
            writer.annotations([replace(fact, replicate=9, **beside)])  # type: ignore[arg-type]
            writer.memberships([Membership(HI, "greetings")])
            [file_id] = writer.files([SourceFile("preferences", "x.jsonl", "00")])
            [item_id] = writer.items([Item("s", "1", pair(), False)])
            writer.judgements([ImportedJudgement(replace(fact, item_id=item_id), Imported(file_id))])
            [claim_id] = writer.claims([Claim("ab", "cd", "me", "{}", (Question(fact.pair_id, 0, False),))])
            writer.completions([Completion(claim_id or 0, "Output (a)")])
            rating = Rating(pair().output_a, AnnotatorCard("ada", AnnotatorKind.HUMAN), 1.0, "s")
            snapshot_id = writer.snapshot("mine", "00", "{}", [1], writer.ratings([rating], file_id))
            run_id = writer.run(Run("train dpo", "{}", "0", "m", "f", "now", 0, snapshot_id))
            writer.metrics(run_id, 1, {"loss": 0.5})
            writer.checkpoint(run_id, 1, "f/step-1")
            writer.thoughts({1: "so"})
        for table in set(METADATA.tables) - {"lease"}:
            key = next(iter(METADATA.tables[table].primary_key)).name  # any column would do
            statement = verb.format(table).replace("id = id", f"{key} = {key}")
            with pytest.raises((LedgerError, DBAPIError), match="append-only"), ledger.writing() as writer:
                writer.rows.connection.exec_driver_sql(statement)


def test_pairs_come_back_as_they_were_written(ledger_url: str) -> None:
    other = Instruction("Name a colour.", "Any.")
    written = [
        pair(),
        Pair.of(Output(other, "red", "m", ProducerKind.REFERENCE, '{"t":1}', 3), Output(other, "blue"))[0],
    ]
    with Ledger.open(ledger_url, create=True) as ledger:
        with ledger.writing() as writer:
            ids = writer.pairs(written)
            writer.items([Item("colours", "1", written[1], False, "warm")])
        read = list(ledger.pairs())
        assert [(p.id, p.output_a, p.output_b) for p in read] == [
            (i, p.output_a, p.output_b) for i, p in zip(ids, written, strict=True)
        ]
        assert [p.id for p in ledger.pairs(PairFilter(source="colours"))] == [ids[1]]
        assert not list(ledger.pairs(PairFilter(source="colours", subset="cold")))
        assert len(list(ledger.pairs(PairFilter(limit=1)))) == 1


def test_a_conversation_comes_back_by_every_door(ledger_url: str) -> None:
    with Ledger.open(ledger_url, create=True) as ledger:
        with ledger.writing() as writer:
            [pair_id] = writer.pairs([pair(instruction=TALK)])
            [item_id] = writer.items([Item("talks", "1", pair(instruction=TALK), False)])
            reference = Output(TALK, "blue", "reference", ProducerKind.REFERENCE)
            outputs = writer.outputs([reference])
            writer.memberships([Membership(TALK, "talks")])
            [annotator_id] = writer.annotators([CARD])
            fact = Annotation(pair_id, annotator_id, 1.0, 1.0, False, item_id=item_id)
            writer.judgements([ImportedJudgement(fact)])
            writer.snapshot("all", "k", "{}", [1])
        assert [each.instruction for each in ledger.pairs()] == [TALK]
        assert [each.instruction for each in ledger.memberships()] == [TALK]
        assert list(ledger.imported_instructions()) == [("talks", TALK)]
        assert [each.instruction for each in outputs_of(ledger, Source("reference"))] == [TALK]
        assert lineage.outputs_by_id(ledger, outputs)[outputs[0]] == reference
        assert list(training.instructed(ledger, "talks")) == [TALK]
        assert [each.instruction for each in training.demonstrated(ledger, "talks")] == [TALK]
        assert [each.instruction for each in training.labelled(ledger, 1)] == [TALK]


def test_a_conversation_is_known_by_its_turns() -> None:
    """The hash of a flat instruction is that of ledgers before; a transcript alone is another instruction."""
    told = "preference-farm/1/conversation\n" + json.dumps(
        [[str(turn.role), turn.content] for turn in TALK.turns], ensure_ascii=False, separators=(",", ":")
    )
    assert TALK.key == hashlib.sha256(told.encode()).hexdigest()[:32]
    flat = 'preference-farm/1/instruction\n["Name a colour.","Any."]'
    assert Instruction("Name a colour.", "Any.").key == hashlib.sha256(flat.encode()).hexdigest()[:32]
    assert Instruction(TALK.text).key != TALK.key
    forged = Instruction.of_turns([Turn(TurnRole.USER, "a\n\nUser: b")])
    told_apart = Instruction.of_turns([Turn(TurnRole.USER, "a"), Turn(TurnRole.USER, "b")])
    assert forged.text == told_apart.text
    assert forged.key != told_apart.key
    assert Instruction("Add.", "1, 2").messages == (Turn(TurnRole.USER, "Add.\n\n1, 2"),)


def test_named_sets_and_annotators_come_back(ledger_url: str) -> None:
    membership = Membership(HI, "greetings", Use.EVAL, "social", "g-1", '{"a":1}')
    with Ledger.open(ledger_url, create=True) as ledger:
        with ledger.writing() as writer:
            writer.memberships([membership, membership])
            writer.annotators([CARD])
        assert list(ledger.memberships()) == [membership]
        assert [replace(card, id=0) for card in ledger.annotators()] == [CARD]


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(texts=st.lists(TEXT, min_size=3, max_size=3), decoding=TEXT, sample=st.integers(0, 9))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_survives(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], decoding: str, sample: int
) -> None:
    instruction = Instruction(texts[0], texts[1])
    outputs = [Output(instruction, texts[2], "m", decoding=decoding, sample=sample + i) for i in range(2)]
    fact, _ = Pair.of(*outputs)
    path = tmp_path_factory.getbasetemp() / "texts.db"
    with Ledger.open(path, create=True) as ledger:
        with ledger.writing() as writer:
            [pair_id] = writer.pairs([fact])
        read = next(p for p in ledger.pairs() if p.id == pair_id)
        assert (read.output_a, read.output_b) == (fact.output_a, fact.output_b)


def test_a_lone_surrogate_is_refused_by_name(ledger_url: str) -> None:
    with (
        Ledger.open(ledger_url, create=True) as ledger,
        pytest.raises(LedgerError, match="lone surrogate"),
        ledger.writing() as writer,
    ):
        writer.instructions([Instruction("\ud83d")])
