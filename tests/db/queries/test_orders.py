"""Swap and average, worked by hand; the same in audits, evaluations and snapshots."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.ledger import Ledger
from db.queries import training
from db.queries.contests import contests
from db.queries.frames import judgements
from db.queries.orders import averaged_over_orders
from db.records import Annotation, AnnotationStatus, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair
from farm.audit import AuditOptions, audit_ledger
from farm.leaderboard import LeaderboardOptions, judged_pairs
from farm.snapshot import Choice, snapshot

NAN = math.nan
JUDGE = AnnotatorCard("judge", AnnotatorKind.LLM)


def rows(*judged: tuple[int, int, float]) -> pd.DataFrame:
    """(question, swapped, preference); each cost 1."""
    return pd.DataFrame(judged, columns=["question", "swapped", "preference"]).assign(price=1.0)


def averaged(frame: pd.DataFrame) -> list[tuple[int, int, float, float]]:
    found = averaged_over_orders(frame, ["question"], ["preference"], ["price"])
    columns = (found[name].tolist() for name in ("question", "swapped", "preference", "price"))
    return list(zip(*columns, strict=True))


def test_both_orders_count_as_their_mean() -> None:
    # The judge of question 1 follows the place: a tie. Question 2 was asked in one order, 3 in none we know.
    found = averaged(rows((1, 0, 1.0), (2, 1, 0.0), (1, 1, 0.0), (3, -1, 1.0), (4, 1, 1.0), (4, 0, 0.5)))
    assert found == [(1, -1, 0.5, 2.0), (2, 1, 0.0, 1.0), (3, -1, 1.0, 1.0), (4, -1, 0.75, 2.0)]


def test_a_pair_costs_what_both_orders_cost_and_nobody_knows_where_one_is_unknown() -> None:
    known, unknown = rows((1, 0, 1.0), (1, 1, 1.0)), rows((1, 0, 1.0), (1, 1, 1.0))
    known["price"] = [0.25, 0.5]
    unknown["price"] = [0.25, NAN]
    assert [each[3] for each in averaged(known)] == [0.75]
    assert all(math.isnan(each[3]) for each in averaged(unknown))


def test_one_order_without_a_verdict_leaves_none() -> None:
    for frame in (rows((1, 0, NAN), (1, 1, 1.0)), rows((1, 0, 1.0), (1, 1, NAN))):
        [(_, swapped, preference, price)] = averaged(frame)
        assert (swapped, price) == (-1, 2.0)
        assert math.isnan(preference)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 1), st.sampled_from([0.0, 0.5, 1.0, NAN]))))
def test_nothing_is_lost_and_no_price(judged: list[tuple[int, int, float]]) -> None:
    unique = list({(question, swapped): row for row in judged for question, swapped, _ in [row]}.values())
    frame = rows(*unique) if unique else rows((0, 0, 1.0))
    found = averaged(frame)
    assert sum(price for *_, price in found) == len(frame)
    assert {question for question, *_ in found} == set(frame["question"])


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Pair 1 contradicts itself, 2 does not, 3 is unreadable in one order, 4 was asked in one alone."""
    opened = Ledger.open(tmp_path / "farm.db", create=True)
    with opened.writing() as writer:
        [judge] = writer.annotators([JUDGE])
        made = [
            Pair.of(Output(Instruction(f"Say {i}."), "yes", "m"), Output(Instruction(f"Say {i}."), "no", "n"))
            for i in range(4)
        ]
        first, second, third, fourth = writer.pairs([pair for pair, _ in made])
        facts = [(first, 1.0, False), (first, 0.0, True), (second, 1.0, False), (second, 1.0, True)]
        facts += [(third, 1.0, False), (fourth, 0.0, True)]
        writer.annotations([Annotation(pair, judge, p, p, swapped) for pair, p, swapped in facts])
        writer.annotations(
            [Annotation(third, judge, None, None, True, AnnotationStatus.UNREADABLE, "no verdict")]
        )
    return opened


def test_audit_evaluation_and_snapshot_average_alike(ledger: Ledger) -> None:
    with ledger:
        audited = judgements(ledger, lambda _: False, average_orders=True).judgements.sort_values("unit")
        met = contests(ledger, average_orders=True).sort_values("pair_id")
        for frame in (audited, met):
            assert frame["preference"].fillna(9).tolist() == [0.5, 1, 9, 0]
        assert met["status"].tolist() == ["ok", "ok", "unreadable", "ok"]
        frozen = snapshot(ledger, "mean", Choice(average_orders=True))
        assert frozen.card.rows == 5  # both of the first and of the second pair, one of the fourth
        labels = {row.instruction.text: row.label for row in training.labelled(ledger, frozen.card.id)}
        assert labels == {"Say 0.": 0.5, "Say 1.": 1.0, "Say 3.": 0.0}
        plain = snapshot(ledger, "each", Choice())
        assert plain.card.key != frozen.card.key
        assert plain.card.rows == 6
        each = {row.instruction.text: row.label for row in training.labelled(ledger, plain.card.id)}
        assert each == {"Say 0.": 0.5, "Say 1.": 1.0, "Say 2.": 1.0, "Say 3.": 0.0}
        assert len(judged_pairs(ledger, LeaderboardOptions("judge", average_orders=True))) == 4
        report = audit_ledger(ledger, AuditOptions(average_orders=True))
        assert [each.n for each in report.whole.annotators] == [4]
