"""Are replies of a later try like those that came at once? Asked over HTTP of a judge that we know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from annotators.clients.online import OnlineOptions
from annotators.simulator import FaultPlan, Judge, Simulator, SimulatorConfig
from db.ledger import Ledger
from db.records import AnnotatorCard, AnnotatorKind
from farm.audit import AuditOptions, audit_ledger
from farm.evaluation.audit_report import AnnotatorAudit, Slice
from farm.judging import transports
from tests.support.judging_runs import run
from tests.support.known_pools import pairs_of, write
from tests.support.simulated_provider import QUICK

PAIRS = pairs_of(300)
RIGHT = Judge(utility="length", noise=0)
FIRST_SHOWN = replace(RIGHT, position_bias=30)
SOME = partial(FaultPlan, rate=0.4)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Three hundred pairs, of which a person prefers the longer output."""
    longer = [float(len(pair.output_a.text) > len(pair.output_b.text)) for pair in PAIRS]
    path = write(tmp_path / "farm.db", PAIRS, (AnnotatorCard("ada", AnnotatorKind.HUMAN), longer))
    with Ledger.open(path) as opened:
        yield opened


def by_tries(ledger: Ledger) -> dict[str | None, Slice]:
    options = AuditOptions(annotators=("plain",), by=("tries",), draws=200)
    return {part.where["tries"]: part for part in audit_ledger(ledger, options).slices}


def alone(part: Slice) -> AnnotatorAudit:
    [only] = part.annotators
    return only


@pytest.mark.parametrize("later", [RIGHT, FIRST_SHOWN], ids=["the same", "biased"])
def test_what_a_second_run_brought_is_held_apart(ledger: Ledger, later: Judge) -> None:
    """The provider's filter declines some; the next run asks again a judge that has changed or has not."""
    filtering = SimulatorConfig(judge=RIGHT, faults=SOME(names=("content_filter",)))
    for config in (filtering, SimulatorConfig(judge=later)):
        with Simulator(config) as server:
            report = run(ledger, server)
    parts = by_tries(ledger)
    first, again = alone(parts["first"]), alone(parts["later"])
    assert (first.n + again.n, again.n) == (len(PAIRS), report.statuses["ok"])
    assert 80 < again.n < 160
    assert first.measures["agreement"].value == 1
    assert first.measures["position_bias"].value == pytest.approx(0.5, abs=0.1)
    agreement, position = again.measures["agreement"], again.measures["position_bias"]
    if later is RIGHT:
        assert agreement.value == 1
        assert position.value == pytest.approx(0.5, abs=0.15)
    else:
        assert agreement.high is not None
        assert agreement.high < 0.7
        assert position.value == 1
    for part, each in ((parts["first"], first), (parts["later"], again)):
        assert part.reference.n == each.n  # the person's judgements of the same questions


def test_what_was_sent_again_within_a_run_is_held_apart(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "OnlineOptions", partial(OnlineOptions, retry=QUICK))
    with Simulator(SimulatorConfig(judge=RIGHT, faults=SOME(names=("500",)))) as server:
        run(ledger, server)
        hits = [bill.hits for bill in server.stats().bills.values()]
    counted = [alone(part).n for part in by_tries(ledger).values()]
    assert counted == [sum(each == 1 for each in hits), sum(each > 1 for each in hits)]
    assert sum(counted) == len(PAIRS)


def test_what_nobody_was_asked_for_is_in_neither_part(ledger: Ledger) -> None:
    with Simulator(SimulatorConfig(judge=RIGHT)) as server:
        run(ledger, server)
        run(ledger, server, "longest")
    [part] = audit_ledger(ledger, AuditOptions(by=("tries",), draws=0)).slices
    assert (part.where, [each.name for each in part.annotators]) == ({"tries": "first"}, ["ada", "plain"])
