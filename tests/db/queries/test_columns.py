"""Judgements read as columns, chunk by chunk, against a plain walk over the facts that were written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean

import pandas as pd
import pytest
from sqlalchemy import Connection

from db.ids import keyed_uniform
from db.ledger import Ledger
from db.queries import columns, exports
from db.queries.contests import contests
from db.queries.exports import RowFilter, preference_rows
from db.queries.frames import judgements
from db.queries.questions import JudgedPair, judged_pairs
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
from farm.audit import AuditOptions, agreements, audit
from farm.leaderboard import leaderboard
from farm.options.leaderboard import LeaderboardOptions

PEOPLE = ("ada", "ben", "cleo")
PAIRS = 40
FAILED, RETRACTED = AnnotationStatus.FAILED, AnnotationStatus.RETRACTED
Asked = tuple[int, int, int | None, int, bool | None]


@pytest.fixture
def facts(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Ledger, list[Annotation]]]:
    """A ledger whose chunks end within the judgements of a pair, and all that was written to it."""
    monkeypatch.setattr(columns, "CHUNK", 7)
    with Ledger.open(ledger_url, create=True) as ledger:
        yield ledger, written(ledger)


def written(ledger: Ledger) -> list[Annotation]:
    """Replicates, ties, soft votes, both orders, failures, second attempts, and people of a source."""
    made = []
    for i in range(PAIRS):
        asked = Instruction(f"Ask {i}, of 50%'s")
        made.append(Pair.of(Output(asked, "yes" + "!" * i, "new"), Output(asked, "no", "old")))
    with ledger.writing() as writer:
        ids = writer.pairs([pair for pair, _ in made])
        cards = [AnnotatorCard(name, AnnotatorKind.HUMAN) for name in PEOPLE]
        people = writer.annotators(cards)
        [judge] = writer.annotators([AnnotatorCard("judge", AnnotatorKind.LLM)])
        source = "50%'s"
        items = writer.items([Item(source, str(i), *made[i], "sub") for i in range(0, PAIRS, 4)])
        facts = []
        for i, pair in enumerate(ids):
            for person in people:
                item = items[i // 4] if i % 4 == 0 else None
                said = draw(i, person)
                facts.append(Annotation(pair, person, said, said, None, item_id=item))
            for replicate in range(1 + i % 3):
                for swapped in (False, True)[: 1 + i % 2]:
                    facts += attempts(pair, judge, replicate, swapped)
        facts.append(Annotation(ids[2], judge, 1.0, 1.0, False, replicate=2**40))
        facts.append(Annotation(ids[1], people[0], None, None, None, RETRACTED, attempt=1))
        writer.annotations(facts)
    return facts


def draw(*key: int) -> float:
    """A verdict: a side, a tie, or a soft vote."""
    return (0.0, 1.0, 1.0, 0.5, 0.3, 0.9)[int(6 * keyed_uniform("drawn", *key))]


def attempts(pair: int, judge: int, replicate: int, swapped: bool) -> list[Annotation]:
    """One attempt that succeeds, or a failure; some failures are mended by a second attempt."""
    said = draw(pair, replicate, swapped)
    label = 1 - said if said < 0.5 else said
    first = Annotation(pair, judge, said, label, swapped, replicate=replicate)
    if (pair + replicate) % 5:
        return [first]
    failed = Annotation(pair, judge, None, None, swapped, FAILED, "500", replicate=replicate)
    again = Annotation(pair, judge, said, label, swapped, replicate=replicate, attempt=1)
    return [failed, again] if pair % 2 else [failed]


def standing(facts: list[Annotation]) -> list[Annotation]:
    """The latest attempt of each judgement, without what was taken back."""
    latest: dict[Asked, Annotation] = {}
    for fact in facts:
        asked = (fact.pair_id, fact.annotator_id, fact.item_id, fact.replicate, fact.swapped)
        if asked not in latest or fact.attempt > latest[asked].attempt:
            latest[asked] = fact
    return [fact for fact in latest.values() if fact.status is not RETRACTED]


def number(value: float | None) -> str:
    return "nan" if value is None or math.isnan(value) else repr(value)


def order(swapped: bool | None) -> int:
    return -1 if swapped is None else int(swapped)


def test_contests_are_what_was_written(facts: tuple[Ledger, list[Annotation]]) -> None:
    ledger, given = facts
    found = contests(ledger)
    pairs = {pair.id: pair for pair in ledger.pairs()}
    rows = [
        (
            pairs[each.pair_id].key,
            pairs[each.pair_id].instruction.key,
            pairs[each.pair_id].output_a.producer,
            pairs[each.pair_id].output_b.producer,
            each.annotator_id,
            each.replicate,
            order(each.swapped),
            number(each.preference),
            number(each.label),
            each.status.value,
        )
        for each in standing(given)
    ]
    names = ["key", "instruction", "model_a", "model_b", "annotator", "replicate", "swapped"]
    values = [found[name].tolist() for name in names]
    values += [list(map(number, found[name])) for name in ("preference", "label")]
    values.append(found["status"].tolist())
    assert sorted(zip(*values, strict=True)) == sorted(rows)
    assert found["key"].tolist() == sorted(found["key"])


def test_judgements_and_exported_rows_are_as_many_and_as_good(
    facts: tuple[Ledger, list[Annotation]],
) -> None:
    ledger, given = facts
    kept = standing(given)
    flipped = ledger.flipped_pairs()
    told = sorted(
        number(
            1 - each.preference
            if each.preference is not None and each.pair_id in flipped
            else each.preference
        )
        for each in kept
    )
    assert sorted(map(number, judgements(ledger, lambda text: False).judgements["preference"])) == told
    assert sorted(number(row.preference) for row in preference_rows(ledger, RowFilter())) == told
    some = RowFilter(source="50%'s", annotators=("ada", "judge"))
    assert len(list(preference_rows(ledger, some))) == sum(
        (each.pair_id - kept[0].pair_id) % 4 == 0 and each.annotator_id in (1, 4) for each in kept
    )


def test_less_is_asked_where_only_agreement_is_wanted(facts: tuple[Ledger, list[Annotation]]) -> None:
    ledger, _ = facts
    every, few = (judgements(ledger, lambda text: False, paid=paid) for paid in (True, False))
    pd.testing.assert_frame_equal(
        every.judgements.drop(columns=["price", "seconds", "retries"]), few.judgements
    )
    reference, judges = agreements(few)
    whole = audit(every, AuditOptions()).whole
    assert {name: whole.reference.measures[name] for name in ("agreement", "longest")} == reference.measures
    assert replace(whole.reference, measures=reference.measures) == reference
    assert [(each.name, each.kind, each.n, each.measures["agreement"]) for each in whole.annotators] == [
        *map(tuple, judges)
    ]
    assert len(judges) == len(PEOPLE) + 1


def test_texts_are_read_once_for_judgements_that_stand_together(
    facts: tuple[Ledger, list[Annotation]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, given = facts
    asked: list[int] = []

    def counted(connection: Connection, pair_ids: set[int]) -> dict[int, JudgedPair]:
        asked.extend(pair_ids)
        return judged_pairs(connection, pair_ids)

    monkeypatch.setattr(exports, "judged_pairs", counted)
    in_pieces = list(preference_rows(ledger, RowFilter()))
    assert len(asked) < len(given) / 2  # a pair is asked for again where a chunk ends within its judgements
    asked.clear()
    monkeypatch.setattr(columns, "CHUNK", len(given))
    assert list(preference_rows(ledger, RowFilter())) == in_pieces
    assert sorted(asked) == sorted({each.pair_id for each in given})


def test_a_leaderboard_is_the_mean_of_means(facts: tuple[Ledger, list[Annotation]]) -> None:
    ledger, given = facts
    pairs = {pair.id: pair for pair in ledger.pairs()}
    for name, codes in (("judge", {4}), ("human", {1, 2, 3})):
        votes: dict[tuple[int, int], list[float]] = {}
        failed = 0
        for each in standing(given):
            if each.annotator_id not in codes:
                continue
            if each.preference is None:
                failed += 1
                continue
            first = pairs[each.pair_id].output_a.producer == "new"
            mine = each.preference if first else 1 - each.preference
            votes.setdefault((each.pair_id, each.annotator_id), []).append(mine)
        options = LeaderboardOptions(annotator=name, reference="old", controls=("none",))
        [place] = leaderboard(ledger, options).places
        assert place.rate.value == pytest.approx(fmean(map(fmean, votes.values())), abs=1e-12)
        assert (place.rate.n, place.rate.n_failed) == (sum(map(len, votes.values())), failed)
