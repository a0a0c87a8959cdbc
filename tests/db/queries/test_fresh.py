"""What was said of the pairs of a source, and what it cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.ledger import Ledger
from db.queries.fresh import Bought, bought, labels, last_item
from db.records import (
    Annotation,
    AnnotationStatus,
    AnnotatorCard,
    AnnotatorKind,
    Claim,
    Completion,
    Item,
    Question,
)
from tests.support.judging_runs import fill


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    fill(tmp_path / "farm.db", 5)
    return Ledger.open(tmp_path / "farm.db")


def judge(ledger: Ledger, facts: list[Annotation]) -> int:
    with ledger.writing() as writer:
        [code] = writer.annotators([AnnotatorCard("judge", AnnotatorKind.LLM)])
        writer.annotations(facts)
    return code


def said(
    pair: int, label: float | None, swapped: bool = False, replicate: int = 0, attempt: int = 0
) -> Annotation:
    status = AnnotationStatus.FAILED if label is None else AnnotationStatus.OK
    return Annotation(pair, 1, label, label, swapped, status, replicate=replicate, attempt=attempt)


def test_a_label_is_the_mean_over_replicates_of_both_orders_or_neither(ledger: Ledger) -> None:
    facts = [
        said(1, 1.0),
        *(said(2, 1.0), said(2, 0.0, swapped=True)),  # ½
        *(
            said(3, 1.0),
            said(3, None, swapped=True),
            said(3, 0.25, replicate=1),
        ),  # the second replicate alone
        *(said(4, None), said(4, 0.75, attempt=1)),  # the later attempt
        *(said(5, None),),
    ]
    code = judge(ledger, facts)
    assert labels(ledger, code, [1, 2, 3, 4, 5]) == {1: 1.0, 2: 0.5, 3: 0.25, 4: 0.75}
    assert labels(ledger, code, [2]) == {2: 0.5}
    assert labels(ledger, code + 1, [1]) == {}


def test_what_was_bought_is_of_one_source_and_annotator(ledger: Ledger) -> None:
    code = judge(ledger, [said(1, 1.0), said(2, None), said(3, 0.5), said(4, 1.0)])
    pairs = list(ledger.pairs())
    with ledger.writing() as writer:
        writer.items([Item("run", f"0/{i}", pair, False) for i, pair in enumerate(pairs[:3])])
        writer.items([Item("other", "1/0", pairs[3], False)])
        claims = [
            Claim(f"r{i}", draw_key, "x", "{}", (Question(pair, 0, False),))
            for i, (pair, draw_key) in enumerate([(1, "a"), (2, "b"), (3, "a"), (3, "c"), (4, "a"), (1, "b")])
        ]
        ids = writer.claims(claims)
        paid = [
            (0.5, None),
            (0.25, 1.0),
            (None, None),
            (8.0, None),
            (16.0, None),
        ]  # the last has no reply yet
        writer.completions(
            [
                Completion(number, "", cost=cost, cost_bound=bound, sendings=2)
                for number, (cost, bound) in zip(filter(None, ids), paid, strict=False)
            ]
        )
    assert bought(ledger, "run", code, ["a", "b"]) == Bought(2, 6, 1.5)
    assert bought(ledger, "none", code, ["a", "b"]) == Bought(0, 0, 0.0)
    assert last_item(ledger, "run") == "0/2"
    assert last_item(ledger, "other") == "1/0"
    assert last_item(ledger, "none") is None
