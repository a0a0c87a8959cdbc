"""What happens to annotating when its process, its ledger or its disk does not last: nothing is lost."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import annotators
from annotators.simulator import FaultPlan, Judge, Simulator, SimulatorConfig
from db import sqlite_file
from db.errors import ConfigError, LedgerBusy
from db.ids import keyed_index, keyed_uniform
from db.ledger import Ledger, PairFilter
from db.records import Instruction, Membership, Output, Pair
from db.tables import ANNOTATION, CLAIM, CLAIM_SLOT, COMPLETION, LEASE, OUTPUT
from farm.annotate import AnnotateReport
from farm.evaluate import evaluate
from farm.judging.provider import Provider, Task
from farm.options.evaluate import EvaluateTask
from farm.options.sample import SampleTask
from farm.sample import SampleReport, sample
from tests.support.command_line import farm_arguments
from tests.support.judging_runs import FULL, command, count, fill, run, silent, verdicts

WIDTH = 8  # requests in flight


@pytest.fixture
def slow() -> Iterator[Simulator]:
    """A provider that takes its time."""
    with Simulator(SimulatorConfig(judge=Judge(utility="length"), latency=0.02)) as running:
        yield running


def start(path: Path | str, server: Simulator, name: str) -> subprocess.Popen[str]:
    asked = command(path, server, name, "--concurrency", str(WIDTH), "--json")
    return subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, object]:
    """The report of a run that is to end well."""
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    report: dict[str, object] = json.loads(out)
    return report


def wait_for(server: Simulator, hits: int, process: subprocess.Popen[str]) -> None:
    """Until the provider has seen so many requests, or the process has ended."""
    while server.stats().hits < hits and process.poll() is None:
        time.sleep(0.002)


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_killed_at_random_every_pair_is_judged_once_and_only_what_was_in_flight_is_paid_twice(
    tmp_path: Path, slow: Simulator
) -> None:
    kills, pairs = (100, 3_000) if FULL else (5, 450)
    path, killed, paid_twice = tmp_path / "farm.db", 0, 0
    fill(path, pairs)
    for kill in range(kills):
        before = slow.stats().hits
        process = start(path, slow, "crowd")
        wait_for(slow, before + keyed_index(round(0.8 * pairs / kills), "kill", kill), process)
        time.sleep(0.05 * keyed_uniform("moment", kill))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        with Ledger.open(path) as ledger:
            ledger.check()
            lost = slow.stats().hits - count(ledger, COMPLETION) - paid_twice
        assert 0 <= lost <= WIDTH, f"kill {kill}: {lost} requests were sent and are not in the ledger"
        paid_twice += lost
    assert killed == kills, "the study ended before it was killed often enough"
    finish(start(path, slow, "crowd"))
    stats = slow.stats()
    with Ledger.open(path) as ledger:
        ledger.check()
        found = verdicts(ledger)
        claims, completions = count(ledger, CLAIM), count(ledger, COMPLETION)
    assert len(found) == pairs
    assert None not in found.values()
    assert completions == stats.requests  # each question was answered once
    assert (
        stats.hits - completions == paid_twice <= claims - completions
    )  # and was claimed before it was sent
    assert max(bill.hits for bill in stats.bills.values()) <= 1 + kills
    print(f"{killed} kills, {pairs} pairs, {completions} requests, {paid_twice} of them sent again")


def test_two_processes_share_the_work(ledger_url: str, slow: Simulator) -> None:
    fill(ledger_url, 200)
    reports = [finish(each) for each in [start(ledger_url, slow, "plain") for _ in range(2)]]
    assert slow.stats().hits == 200
    for report in reports:
        statuses = report["statuses"]
        assert isinstance(statuses, dict)
        assert report["already"] + statuses.get("ok", 0) + report["elsewhere"] == 200
    with Ledger.open(ledger_url) as ledger:
        assert len(verdicts(ledger)) == 200


@pytest.mark.parametrize("name", ["plain", "ranked-list"])
def test_two_threads_share_the_work(ledger_url: str, slow: Simulator, name: str) -> None:
    """Each has the ledger open; the second begins while the first waits for replies."""
    fill(ledger_url, 300)

    def judge() -> AnnotateReport:
        with Ledger.open(ledger_url) as ledger:
            return run(ledger, slow, name, concurrency=WIDTH)

    with ThreadPoolExecutor() as threads:
        first = threads.submit(judge)
        while slow.stats().hits < 1 and not first.done():
            time.sleep(0.002)
        reports = [threads.submit(judge).result(), first.result()]
    stats = slow.stats()
    assert stats.hits == stats.requests == sum(report.requests for report in reports)
    with Ledger.open(ledger_url) as ledger:
        assert count(ledger, COMPLETION) == stats.hits
        assert len(verdicts(ledger)) == 300
    assert sum(report.elsewhere for report in reports) > 0


def test_a_pair_is_in_one_prompt_whatever_filters_two_runs_have(ledger_url: str) -> None:
    """The second run wants two pairs out of different prompts of five that the first is asking."""
    fill(ledger_url, 60)
    config = SimulatorConfig(judge=Judge(utility="length"), latency=0.2)
    with Simulator(config) as server, Ledger.open(ledger_url) as ledger, ThreadPoolExecutor() as threads:
        first = threads.submit(run, ledger, server, "ranked-list", concurrency=2)
        while server.stats().hits < 1 and not first.done():
            time.sleep(0.002)
        two = tuple(sorted(pair.id for pair in ledger.pairs())[-7::5])
        second = run(ledger, server, "ranked-list", Task(PairFilter(ids=two)))
        assert (second.requests, second.elsewhere, first.done()) == (0, 2, False)
        assert first.result().statuses == {"ok": 60}
        assert (server.stats().hits, count(ledger, CLAIM_SLOT), len(verdicts(ledger))) == (12, 60, 60)


def test_what_a_dead_process_had_claimed_is_taken_up_by_the_next(tmp_path: Path) -> None:
    path, pairs = tmp_path / "farm.db", 60
    fill(path, pairs)
    config = SimulatorConfig(judge=Judge(utility="length"), latency=0.2)
    with Simulator(config) as server, Ledger.open(path) as ledger:
        dead = start(path, server, "plain")
        wait_for(server, 1, dead)
        meanwhile = run(ledger, server)  # everything stands in one window, and its owner lives
        assert (meanwhile.elsewhere > pairs / 2, meanwhile.requests) == (True, 0)
        dead.kill()
        dead.communicate()
        after = run(ledger, server)
        assert after.elsewhere == 0
        assert len(verdicts(ledger)) == pairs
        assert server.stats().hits - pairs <= WIDTH


def test_a_full_disk_ends_the_run_clearly_and_the_next_goes_on(tmp_path: Path, slow: Simulator) -> None:
    path = tmp_path / "farm.db"
    fill(path, 400)
    room = path.stat().st_size + 500_000
    asked = command(path, slow, "plain", "--concurrency", str(WIDTH))
    full = subprocess.run(
        asked,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )
    assert full.returncode == 1
    assert full.stderr.startswith(f"farm: {path}: ")
    assert full.stderr.count("\n") == 1
    assert "try again" in full.stderr or "run the same command again" in full.stderr
    with Ledger.open(path) as ledger:
        ledger.check()
        kept = count(ledger, COMPLETION)
        assert 0 < kept < 400
        assert slow.stats().hits - kept <= WIDTH
        run(ledger, slow)
        assert len(verdicts(ledger)) == 400
    assert slow.stats().hits - 400 <= WIDTH


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
def test_in_a_read_only_file_nothing_is_asked(tmp_path: Path, slow: Simulator) -> None:
    for name, pairs in (("mine.db", 1), ("theirs.db", 5)):
        fill(tmp_path / name, pairs)
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        folder.chmod(0o755)
    (tmp_path / "theirs.db").chmod(0o444)
    code = """
        import os, sys
        from db.errors import LedgerReadOnly
        from db.ledger import Ledger
        from farm.annotate import Provider, Task, annotate
        def judge(path):
            with Ledger.open(path) as ledger:
                annotate(ledger, "plain", Task(), lambda *_: None, Provider(base_url=sys.argv[1]))
        judge(sys.argv[2])  # which loads all that it takes
        os.setuid(65534)
        try:
            judge(sys.argv[3])
        except LedgerReadOnly as error:
            print(error)
    """
    words = [slow.base_url, str(tmp_path / "mine.db"), str(tmp_path / "theirs.db")]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *words], capture_output=True, text=True, check=False
    )
    assert "check the permissions" in done.stdout, done.stderr
    assert slow.stats().hits == 1


def test_a_locked_ledger_is_said_and_nothing_is_asked(
    tmp_path: Path, slow: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "farm.db"
    fill(path, 20)
    monkeypatch.setattr(sqlite_file, "WAIT_SECONDS", 0.1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with Ledger.open(path) as ledger, pytest.raises(LedgerBusy, match="wait for it to end"):
            run(ledger, slow)
    finally:
        holder.close()
    assert slow.stats().hits == 0


@pytest.mark.parametrize("damage", ["header", "truncated", "text"])
def test_a_damaged_ledger_is_said_and_nothing_is_asked(tmp_path: Path, slow: Simulator, damage: str) -> None:
    path = tmp_path / "farm.db"
    fill(path, 400)
    whole = path.read_bytes()
    broken = {
        "header": b"\0" * 100 + whole[100:],
        "truncated": whole[: len(whole) // 2],
        "text": b"this is a letter to my aunt\n" * 100,
    }
    path.write_bytes(broken[damage])
    done = subprocess.run(command(path, slow, "plain"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"farm: {path}: ")
    assert slow.stats().hits == 0


@pytest.mark.parametrize(
    "sent",
    [
        signal.SIGINT,
        *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGTERM, signal.SIGHUP)),
    ],
)
def test_ctrl_c_ends_cleanly_and_the_next_run_goes_on(tmp_path: Path, sent: signal.Signals) -> None:
    path = tmp_path / "farm.db"
    fill(path, 200)
    hanging = FaultPlan(rate=0.1, names=("hang",))
    config = SimulatorConfig(judge=Judge(utility="length"), latency=0.02, faults=hanging)
    with Simulator(config) as server:
        process = subprocess.Popen(
            command(path, server, "plain", "--concurrency", str(WIDTH)), stderr=subprocess.PIPE, text=True
        )
        wait_for(server, 50, process)
        asked_at = time.monotonic()
        process.send_signal(sent)
        _, errors = process.communicate(timeout=60)
        assert time.monotonic() - asked_at < 20  # 3 are grace, the rest is for a busy machine
        assert process.returncode == 130
        assert "Traceback" not in errors
        assert "farm: stopped; " in errors
        assert errors.rstrip().endswith("so far (what is done is kept; the same command goes on from there)")
        with Ledger.open(path) as ledger, ledger.reading() as connection:
            rows = connection.execute(COMPLETION.select()).all()
        assert sum(row.sendings for row in rows) == server.stats().hits  # all that was sent is accounted for
        assert {row.failure for row in rows} == {None, "interrupted"}


def twins(path: Path, pairs: int) -> None:
    """A new ledger of pairs whose outputs are the same text."""
    with Ledger.open(path, create=True) as ledger, ledger.writing() as writer:
        asked = [Instruction(f"Say {i}.") for i in range(pairs)]
        writer.pairs([Pair.of(Output(each, "so", "m"), Output(each, "so", "n"))[0] for each in asked])


@pytest.mark.parametrize(
    ("filled", "noise", "sent"),
    [(twins, "", signal.SIGINT), (fill, "noise: {flip: 0.5, replace: true}\n", signal.SIGTERM)],
    ids=["same texts", "label noise"],
)
def test_a_signal_is_heard_where_nobody_has_to_be_asked(
    tmp_path: Path, slow: Simulator, filled: Callable[[Path, int], None], noise: str, sent: signal.Signals
) -> None:
    """All the work is done between two requests, and there are none."""
    path, judge = tmp_path / "farm.db", tmp_path / "judge"
    filled(path, 200)
    shutil.copytree(Path(annotators.__file__).parent / "catalog" / "plain", judge)
    with (judge / "annotator.yaml").open("a") as file:
        file.write(noise)
    asked = command(path, slow, str(judge), "--replicates", "10000")
    process = subprocess.Popen(asked, stderr=subprocess.PIPE, text=True)
    with Ledger.open(path) as ledger:
        while not count(ledger, ANNOTATION) and process.poll() is None:
            time.sleep(0.02)
    asked_at = time.monotonic()
    process.send_signal(sent)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - asked_at < 5
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert slow.stats().hits == 0


def instructed(path: Path | str, count: int) -> None:
    """A new ledger of so many instructions in the set `sums`."""
    with Ledger.open(path, create=True) as ledger, ledger.writing() as writer:
        writer.memberships([Membership(Instruction(f"Add {i} and 2."), "sums") for i in range(count)])


def sampling(path: Path | str, server: Simulator, *options: object) -> subprocess.Popen[str]:
    served = ["--base-url", server.base_url, "--concurrency", WIDTH, "--json"]
    asked = farm_arguments(path, "sample", "m", "--set", "sums", "--n", 2, *served, *options)
    return subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_that_draw_ask_for_no_output_twice(ledger_url: str, slow: Simulator) -> None:
    instructed(ledger_url, 150)
    reports = [finish(each) for each in [sampling(ledger_url, slow) for _ in range(2)]]
    assert slow.stats().hits == 300
    assert sum(int(str(report["new"])) for report in reports) == 300
    assert all(
        sum(int(str(report[name])) for name in ("new", "known", "elsewhere")) == 300 for report in reports
    )
    with Ledger.open(ledger_url) as ledger:
        assert (count(ledger, OUTPUT), count(ledger, CLAIM), count(ledger, LEASE)) == (300, 300, 0)


def test_draws_of_a_killed_run_are_free_and_a_living_ones_are_left(tmp_path: Path, slow: Simulator) -> None:
    path = tmp_path / "farm.db"
    instructed(path, 300)
    process = sampling(path, slow)
    wait_for(slow, 40, process)
    meanwhile = finish(sampling(path, slow, "--limit", 8))
    assert (meanwhile["new"], meanwhile["known"], meanwhile["elsewhere"]) in [
        (0, 16 - n, n) for n in range(17)
    ]
    process.kill()
    process.communicate()
    after = finish(sampling(path, slow))
    assert (after["elsewhere"], int(str(after["new"])) + int(str(after["known"]))) == (0, 600)
    assert 600 <= slow.stats().hits <= 600 + WIDTH


def test_an_evaluation_beside_a_run_at_work_gives_no_figure(tmp_path: Path, slow: Simulator) -> None:
    """What the other run is asking for would count as failures."""
    path = tmp_path / "farm.db"
    instructed(path, 40)
    with Ledger.open(path) as ledger, ledger.writing() as writer:
        asked = [Instruction(f"Add {i} and 2.") for i in range(40)]
        writer.outputs([Output(each, "2", "base") for each in asked])
    asked_here = Provider(base_url=slow.base_url, concurrency=1)
    task = EvaluateTask(model="m", against="base", annotator="plain", sampling=SampleTask("sums"))

    def draw() -> SampleReport:
        with Ledger.open(path) as ledger:
            return sample(ledger, "m", task.sampling, silent, asked_here)

    with ThreadPoolExecutor() as pool, Ledger.open(path) as ledger:
        first = pool.submit(draw)
        while slow.stats().hits < 5 and not first.done():
            time.sleep(0.01)
        with pytest.raises(ConfigError, match=r"another run is asking for \d+ of these outputs"):
            evaluate(ledger, task, asked_here, silent, asked_here)
        assert first.result().new + slow.stats().hits >= 40
        assert evaluate(ledger, task, asked_here, silent, asked_here).place.rate.n == 40
    assert slow.stats().hits == 80
