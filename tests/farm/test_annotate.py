"""Annotating through a real HTTP provider: every pair once, nothing paid for twice, whatever happens."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotators.catalogue import FOLDER
from annotators.clients.failures import BudgetExhausted
from annotators.draws import Orders
from annotators.render import NONCE_DIGITS
from annotators.simulator import BatchPlan, FaultPlan, Judge, Simulator, SimulatorConfig
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.ledger import Ledger, PairFilter
from db.records import Instruction, Output, Pair
from db.tables import ANNOTATION, CLAIM, COMPLETION
from farm.annotate import loaded, plan
from farm.judging import questions
from farm.judging.asking import Judging
from farm.judging.provider import Provider, Task
from tests.support.command_line import farm_arguments
from tests.support.judging_runs import command, count, fill, run, verdicts

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    fill(tmp_path / "farm.db", 60)
    with Ledger.open(tmp_path / "farm.db") as opened:
        yield opened


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(SimulatorConfig(judge=Judge(utility="length"))) as running:
        yield running


def test_every_pair_is_judged_once_and_again_costs_nothing(ledger: Ledger, simulator: Simulator) -> None:
    first = run(ledger, simulator)
    assert (first.pairs, first.statuses, first.requests) == (60, {"ok": 60}, 60)
    again = run(ledger, simulator)
    assert (again.known, again.statuses, again.requests) == (60, {}, 0)
    assert simulator.stats().hits == 60


def test_the_ledger_and_the_server_agree_on_what_was_paid(ledger: Ledger, simulator: Simulator) -> None:
    report = run(ledger, simulator, "crowd")
    stats = simulator.stats()
    assert (report.requests, report.tokens) == (stats.billed, stats.prompt_tokens + stats.completion_tokens)
    with ledger.reading() as connection:
        rows = connection.execute(COMPLETION.select()).all()
    assert sum(row.prompt_tokens for row in rows) == stats.prompt_tokens
    assert sum(row.completion_tokens for row in rows) == stats.completion_tokens
    assert report.cost == pytest.approx(sum(row.cost for row in rows))


def test_another_noise_or_parser_reads_the_same_completions(ledger: Ledger, simulator: Simulator) -> None:
    noisy = run(ledger, simulator, "crowd")
    quiet = run(ledger, simulator, "crowd-quiet")
    assert noisy.fingerprint != quiet.fingerprint
    assert (quiet.statuses["ok"], quiet.requests) == (60, 0)
    found = verdicts(ledger)
    for (name, *rest), preference in found.items():
        if name == "crowd":
            assert found["crowd-quiet", *rest] == preference  # noise is in the label, not in the preference


def test_batched_prompts_are_read_again_as_they_were_composed(ledger: Ledger, simulator: Simulator) -> None:
    for limit in (7, 23, None):  # which leaves prompts of fewer pairs in between
        run(ledger, simulator, "crowd", Task(PairFilter(limit=limit)))
    quiet = run(ledger, simulator, "crowd-quiet")
    assert (quiet.statuses, quiet.requests) == ({"ok": 60}, 0)


def test_label_noise_stands_beside_the_preference(tmp_path: Path, simulator: Simulator) -> None:
    fill(tmp_path / "x.db", 400)
    with Ledger.open(tmp_path / "x.db") as ledger:
        run(ledger, simulator, "crowd")
        with ledger.reading() as connection:
            rows = connection.execute(ANNOTATION.select()).all()
    flipped = sum(row.label != row.preference for row in rows if row.preference != 0.5)
    clear = sum(row.preference != 0.5 for row in rows)
    assert abs(flipped / clear - 0.25) < 4 * (0.25 * 0.75 / clear) ** 0.5


def test_orders_and_replicates(ledger: Ledger, simulator: Simulator) -> None:
    task = Task(PairFilter(limit=20), replicates=2, orders=Orders.BOTH)
    assert run(ledger, simulator, task=task).statuses == {"ok": 80}
    assert {(replicate, swapped) for _, _, replicate, swapped in verdicts(ledger)} == {
        (k, s) for k in (0, 1) for s in (False, True)
    }


def test_replicates_share_prompts_as_single_judgements_do(ledger: Ledger, simulator: Simulator) -> None:
    """Twelve prompts of five pairs, each twice: replicates of a pair stand in prompts of their own."""
    report = run(ledger, simulator, "ranked-list", Task(replicates=2))
    assert (report.statuses, report.requests) == ({"ok": 120}, 24)


def test_replicates_are_asked_in_windows(
    ledger: Ledger, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small windows write what one large one writes: judgements, prompts and requests."""
    some = PairFilter(limit=20)
    tasks = {"plain": Task(some, replicates=3, orders=Orders.BOTH), "ranked-list": Task(some, replicates=3)}
    whole = {name: run(ledger, simulator, name, task).statuses for name, task in tasks.items()}
    hits = simulator.stats().hits
    fill(tmp_path / "small.db", 60)
    monkeypatch.setattr(questions, "QUESTIONS", 25)
    with Ledger.open(tmp_path / "small.db") as small:
        assert {name: run(small, simulator, name, task).statuses for name, task in tasks.items()} == whole
        assert verdicts(small) == verdicts(ledger)
        assert count(small, CLAIM) == count(ledger, CLAIM) == hits
        assert run(small, simulator, task=tasks["plain"]).known == 120
    assert simulator.stats().hits == 2 * hits


def test_the_first_request_comes_before_the_other_windows_are_looked_at(ledger: Ledger) -> None:
    plain = loaded("plain", Task(), Provider())
    assert isinstance(plain, AnnotatorSpec)
    with Judging(ledger, plain, "", lambda name, done: None) as judging:
        assert next(judging.requests(PairFilter(), range(10_000))) is not None
        assert count(ledger, CLAIM) <= questions.QUESTIONS


def test_identical_outputs_are_a_tie_that_nobody_is_asked(tmp_path: Path, simulator: Simulator) -> None:
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        with ledger.writing() as writer:
            ask = Instruction("Say hi.")
            writer.pairs([Pair.of(Output(ask, "hi", "m"), Output(ask, "hi", "n"))[0]])
        assert run(ledger, simulator).statuses == {"ok": 1}
        assert list(verdicts(ledger).values()) == [0.5]
    assert simulator.stats().hits == 0


def test_a_plan_asks_nothing_and_is_near_the_bill(ledger: Ledger, simulator: Simulator) -> None:
    for name in ("plain", "crowd", "judge"):
        expected = plan(ledger, name, Task(), Provider(base_url=simulator.base_url))
        before = simulator.stats().hits
        report = run(ledger, simulator, name)
        assert expected.requests == report.requests == simulator.stats().hits - before
        assert expected.cost == pytest.approx(report.cost, rel=0.2)
        assert plan(ledger, name, Task(), Provider(base_url=simulator.base_url)).requests == 0


def test_a_budget_stops_the_run_which_goes_on_later(ledger: Ledger, simulator: Simulator) -> None:
    with pytest.raises(BudgetExhausted, match="run the same command again"):
        run(ledger, simulator, max_requests=25)
    assert simulator.stats().hits == 25
    assert count(ledger, COMPLETION) == 25
    rest = run(ledger, simulator)
    assert (rest.known, rest.statuses) == (25, {"ok": 35})
    assert simulator.stats().hits == 60


def test_an_unknown_price_is_said_and_no_budget_of_money_is_promised(
    ledger: Ledger, simulator: Simulator
) -> None:
    assert run(ledger, simulator, models=("home-made",), task=Task(PairFilter(limit=5))).cost is None
    with pytest.raises(ConfigError, match="price of home-made is unknown"):
        run(ledger, simulator, models=("home-made",), max_cost=1.0)


def test_a_storm_of_faults_ends_as_a_calm_run(tmp_path: Path) -> None:
    found = []
    quick = ("500", "no_choices", "truncated", "null", "empty")
    for rate in (0.0, 0.3):
        path = tmp_path / f"{rate}.db"
        fill(path, 40)
        faults = FaultPlan(rate=rate, names=quick)
        with (
            Simulator(SimulatorConfig(judge=Judge(utility="length"), faults=faults)) as server,
            Ledger.open(path) as ledger,
        ):
            for _ in range(12):
                if run(ledger, server, "crowd").statuses.get("failed", 0) == 0:
                    break
            stats = server.stats()
            with ledger.reading() as connection:
                rows = connection.execute(COMPLETION.select()).all()
            assert sum(row.sendings for row in rows) == stats.hits
            found.append(verdicts(ledger))
    assert found[0] == found[1]
    assert None not in found[1].values()


def test_the_batch_api_gives_the_same_judgements_at_half_the_price(ledger: Ledger, tmp_path: Path) -> None:
    with Simulator(SimulatorConfig(judge=Judge(utility="length"))) as server:
        online = run(ledger, server, "crowd")
        fill(tmp_path / "batch.db", 60)
        with Ledger.open(tmp_path / "batch.db") as other:
            batched = run(other, server, "crowd", batch=True, poll_seconds=0.05)
            assert online.cost is not None
            assert batched.cost == pytest.approx(online.cost / 2)
            assert verdicts(other) == verdicts(ledger)
            assert run(other, server, "crowd", batch=True, poll_seconds=0.05).requests == 0


def test_a_killed_batch_is_found_again_and_not_paid_twice(tmp_path: Path) -> None:
    path = tmp_path / "farm.db"
    fill(path, 60)
    plan = BatchPlan(seconds=3.0)
    with Simulator(SimulatorConfig(judge=Judge(utility="length"), batch=plan)) as server:
        start = command(path, server, "crowd", "--batch", "--poll-seconds", "0.1")
        process = subprocess.Popen(start, stdout=subprocess.DEVNULL)
        while server.stats().batches == 0:
            time.sleep(0.05)
        time.sleep(0.5)
        process.kill()
        process.wait()
        subprocess.run(start, check=True, capture_output=True)
        stats = server.stats()
        assert stats.billed == stats.requests  # each was asked once
    with Ledger.open(path) as ledger:
        assert len(verdicts(ledger)) == 60


def test_a_failure_is_a_row_that_the_next_run_tries_again(ledger: Ledger, tmp_path: Path) -> None:
    refuse = FaultPlan(script=("content_filter",))
    with Simulator(SimulatorConfig(faults=refuse)) as server:
        first = run(ledger, server, task=Task(PairFilter(limit=8)))
        assert first.statuses == {"failed": 8}
        with ledger.reading() as connection:
            assert all(row.reason for row in connection.execute(ANNOTATION.select()))
        assert run(ledger, server, task=Task(PairFilter(limit=8))).statuses == {"ok": 8}
    with ledger.reading() as connection:
        assert {row.attempt for row in connection.execute(ANNOTATION.select())} == {0, 1}


def test_no_key_is_left_anywhere(ledger: Ledger, tmp_path: Path) -> None:
    with Simulator(SimulatorConfig(api_key=KEY)) as server:
        environment = os.environ | {"FARM_API_KEY": KEY}
        start = farm_arguments(tmp_path / "farm.db", "--debug", "annotate")
        told = ["--base-url", server.base_url]
        good = subprocess.run([*start, "plain", *told], env=environment, capture_output=True, check=True)
        environment["FARM_API_KEY"] += "x"
        bad = subprocess.run([*start, "judge", *told], env=environment, capture_output=True, check=False)
    assert bad.returncode != 0
    ledger.close()  # it is read past SQLite now
    for seen in (good.stdout, good.stderr, bad.stdout, bad.stderr, (tmp_path / "farm.db").read_bytes()):
        assert KEY.encode() not in seen


@pytest.fixture
def codeless(tmp_path: Path) -> str:
    """A judge whose marks bear no code of the pair: pairs of equal texts make equal prompts."""
    folder = tmp_path / "codeless"
    shutil.copytree(FOLDER / "plain", folder)
    prompt = folder / "prompt.jinja"
    prompt.write_text(prompt.read_text().replace("pair.nonce", repr("0" * NONCE_DIGITS)))
    return str(folder)


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Ledger]:
    """Twelve pairs of texts by two models, and the same texts by two others."""
    with Ledger.open(tmp_path / "twins.db", create=True) as ledger:
        for i in range(12):
            asked = Instruction(f"Say something about the number {i}.")
            one = [Output(asked, f"It is {i}.", f"m{k}") for k in (0, 1)]
            other = [Output(asked, f"{i} follows {i - 1}.", f"n{k}") for k in (0, 1)]
            with ledger.writing() as writer:
                writer.pairs([Pair.of(*each)[0] for each in zip(one, other, strict=True)])
        yield ledger


@pytest.mark.parametrize("window", [1, 1_000])
def test_pairs_with_an_equal_prompt_share_one_request(
    window: int, twins: Ledger, codeless: str, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is paid, and its reply judges both pairs in the same run, whichever window they stand in."""
    monkeypatch.setattr(questions, "WINDOW", window)
    task = Task(orders=Orders.BOTH)
    estimate = plan(twins, codeless, task, Provider(base_url=simulator.base_url)).requests
    report = run(twins, simulator, codeless, task)
    assert (report.elsewhere, report.statuses, report.requests) == (0, {"ok": 48}, 24)
    assert simulator.stats().hits == count(twins, COMPLETION) == count(twins, CLAIM) == 24
    assert estimate == (24 if window > 1 else 48)  # an estimate looks at one window at a time
    again = run(twins, simulator, codeless, task)
    assert (again.known, again.requests) == (48, 0)


def test_a_failure_is_that_of_all_pairs_that_share_the_request(twins: Ledger, codeless: str) -> None:
    with Simulator(SimulatorConfig(faults=FaultPlan(script=("content_filter",)))) as server:
        first, second = (run(twins, server, codeless, Task(orders=Orders.BOTH)) for _ in range(2))
    assert (first.statuses, first.requests, first.elsewhere) == ({"failed": 48}, 24, 0)
    assert (second.statuses, second.requests, second.elsewhere) == ({"ok": 48}, 24, 0)
