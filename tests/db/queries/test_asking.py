"""What was asked before: attempts, the best answer, what is in flight, and batches as they were shown."""

from __future__ import annotations

from pathlib import Path

from db.ledger import Ledger
from db.queries.asking import answers, batches, claims, completions, open_keys
from db.records import Claim, Completion, Instruction, Output, Pair, Question

PAIRS = [
    Pair.of(Output(Instruction(f"{i}"), "a", "m"), Output(Instruction(f"{i}"), "b", "n"))[0] for i in range(3)
]


def claimed(ledger: Ledger, *wanted: Claim) -> list[int]:
    """The numbers of new claims."""
    with ledger.writing() as writer:
        numbers = writer.claims(wanted)
    assert None not in numbers
    return [number or 0 for number in numbers]


def answered(ledger: Ledger, *said: Completion) -> None:
    with ledger.writing() as writer:
        writer.completions(said)


def test_a_good_reply_is_kept_against_later_failures(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        with ledger.writing() as writer:
            [one, *_] = writer.pairs(PAIRS)
        shown = (Question(one, 0, False),)
        for attempt, (text, failure) in enumerate((("", "timeout"), ("A", None), ("", "refused"))):
            [number] = claimed(ledger, Claim("k", "d", f"run {attempt}", "{}", shown, attempt))
            answered(ledger, Completion(number, text, failure))
        claimed(ledger, Claim("open", "d", "run 9", "{}", shown))
        found = answers(ledger, ["k", "open", "never asked"])
        assert found.keys() == {"k", "open"}
        assert (found["k"].attempts, found["k"].run) == (3, "run 2")
        assert found["k"].latest is not None
        assert found["k"].latest.failure == "refused"
        assert found["k"].completion is not None
        assert found["k"].completion.text == "A"
        assert (found["open"].attempts, found["open"].latest, found["open"].completion) == (1, None, None)
        assert open_keys(ledger, ["d"]) == {"open"}
        assert open_keys(ledger, ["other"]) == set()


def test_a_claim_is_made_by_one_process_alone(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        with ledger.writing() as writer:
            [one, *_] = writer.pairs(PAIRS)
        mine = Claim("k", "d", "mine", "{}", (Question(one, 0, True),))
        [number] = claimed(ledger, mine)
        with ledger.writing() as writer:
            assert writer.claims([Claim("k", "d", "theirs", "{}", (Question(one, 0, True),))]) == [None]
        kept = claims(ledger, [number, number + 1])
        assert kept == {number: Claim("k", "d", "mine", "{}", (Question(one, 0, True),), 0, number)}
        assert completions(ledger, [number]) == {}


def test_a_batch_is_found_by_any_of_its_pairs_in_the_order_shown(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        with ledger.writing() as writer:
            one, two, three = writer.pairs(PAIRS)
        first = (Question(two, 0, True), Question(one, 1, False))
        second = (Question(three, 0, False), Question(two, 1, False))
        numbers = claimed(
            ledger, Claim("first", "d", "run", "{}", first), Claim("second", "d", "run", "{}", second)
        )
        answered(ledger, Completion(numbers[1], "A B"))
        found = batches(ledger, "d", [two])
        assert [(each.questions, each.failed) for each in found] == [(second, False), (first, False)]
        assert [each.questions for each in batches(ledger, "d", [one])] == [first]
        assert batches(ledger, "other", [one, two, three]) == []
        answered(ledger, Completion(numbers[0], "", "timeout"))
        assert [each.failed for each in batches(ledger, "d", [one])] == [True]
