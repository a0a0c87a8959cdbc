"""Runs that share a ledger: who lives, who is dead, and that no clock is compared with another."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from annotators.clients.failures import RunInterrupted
from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.ledger import Ledger
from db.tables import CLAIM, COMPLETION
from farm.judging import runs
from farm.judging.runs import BEAT, LEASE, Lease, Life, OtherRuns, new_run_name
from tests.support.judging_runs import count as rows
from tests.support.judging_runs import fill, verdicts

ELSEWHERE = "0123456789abcdef/another-boot:pid:[1]/7/99"


def watched(seconds: Callable[[], float], beats: Callable[[int], int], looks: int) -> list[Life]:
    others, found = OtherRuns(seconds), []
    for look in range(looks):
        others.look({ELSEWHERE: beats(look)})
        found.append(others.life(ELSEWHERE))
    return found


def test_a_run_that_beats_for_hours_lives() -> None:
    """Five hours, a look every second, a beat every five."""
    clock = count(1000.0)
    found = watched(lambda: next(clock), lambda look: look // 5, 5 * 3600)
    assert set(found[:5]) == {Life.UNKNOWN}
    assert set(found[5:]) == {Life.ALIVE}


def test_a_run_that_beats_no_more_is_dead_after_its_lease() -> None:
    clock = count(1000.0)
    found = watched(lambda: next(clock), lambda look: min(look // 5, 100), 700)
    assert found.index(Life.ENDED) == 500 + LEASE
    assert watched(lambda: next(clock), lambda look: 3, 100).index(Life.ENDED) == LEASE


def test_time_in_which_nobody_looked_does_not_count() -> None:
    """The observer slept, or waited for the ledger: the other may have had no chance to beat."""
    clock = count(0.0, 86_400.0)
    found = watched(lambda: next(clock), lambda look: 0, 20)
    assert found.index(Life.ENDED) == LEASE / BEAT


def test_a_run_without_a_counter_has_ended_and_ours_lives() -> None:
    others = OtherRuns()
    assert others.life(ELSEWHERE) is Life.ENDED
    assert others.life("host/12/1700000000/99/0") is Life.ENDED  # as an earlier release named them


def test_names_are_never_shared_and_processes_are_told_apart() -> None:
    assert len({new_run_name() for _ in range(1000)}) == 1000
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    token, space, _, _ = new_run_name().split("/")
    name = f"{token}/{space}/{other.pid}/"
    try:
        living = {name + str(runs.birth(other.pid)): 0, name + "1": 0}
        others = OtherRuns()
        others.look(living)
        assert [others.life(each) for each in living] == [Life.ALIVE, Life.ENDED]
        other.kill()
        time.sleep(0.2)  # it is a zombie now: nobody has asked how it ended
        assert others.life(name + str(runs.birth(os.getpid()))) is not Life.ALIVE
        others.look({name + "1": 0})
        assert others.life(name + "1") is Life.ENDED
    finally:
        other.communicate()


def test_a_lease_beats_and_goes(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "BEAT", 0.05)

    def beats(ledger: Ledger) -> dict[str, int]:
        with ledger.writing() as writer:
            return writer.beats()

    with Ledger.open(ledger_url, create=True) as ledger:
        with Lease(ledger, "mine") as lease:
            while beats(ledger)["mine"] < 3:
                time.sleep(0.01)
            asyncio.run(lease.confirm())
        assert beats(ledger) == {}


def test_a_run_that_lost_its_claims_sends_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that slept: our clock jumped, and meanwhile another run took us for dead, or did not."""
    monkeypatch.setattr(runs, "BEAT", 0.3)
    now = [0.0]
    with (
        Ledger.open(tmp_path / "farm.db", create=True) as ledger,
        Lease(ledger, "mine", lambda: now[0]) as lease,
    ):
        now[0] = 7_200.0
        asyncio.run(lease.confirm())  # waits for the next beat, which finds the counter
        with ledger.writing() as writer:
            writer.end_leases(["mine"])
        now[0] = 14_400.0
        with pytest.raises(RunInterrupted, match="another has taken over"):
            asyncio.run(lease.confirm())


JUDGE = """
    import socket, sys, time
    from farm.judging import asking, runs
    socket.gethostname = lambda: sys.argv[3]
    shift, real = float(sys.argv[4]), time.time
    time.time = lambda: real() + shift
    runs.BEAT, runs.LEASE, runs.FRESH, asking.LOOK = 0.2, 2.0, 1.5, 0.1
    from db.ledger import Ledger
    from farm.annotate import Provider, Task, annotate
    print("ready", flush=True)
    input()
    with Ledger.open(sys.argv[1]) as ledger:
        made = annotate(ledger, "plain", Task(), lambda *_: None, Provider((), sys.argv[2], concurrency=4))
    print(made.requests, made.elsewhere)
"""
YEARS = 3 * 365.25 * 86_400


def judge(ledger: str, server: Simulator, host: str, shift: float) -> subprocess.Popen[str]:
    """A run in a space of process numbers of its own, under this host name, with a wrong clock.

    It has loaded everything and waits for a line.
    """
    apart = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    words = [textwrap.dedent(JUDGE), ledger, server.base_url, host, str(shift)]
    process = subprocess.Popen(
        [*apart, sys.executable, "-c", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen[str]) -> None:
    """Let a waiting run begin."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.mark.skipif(
    subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], check=False).returncode != 0,
    reason="no namespaces of process numbers can be made here",
)
@pytest.mark.parametrize(
    "ledger_url", ["postgresql", pytest.param("sqlite", marks=pytest.mark.slow)], indirect=True
)
def test_two_machines_pay_for_nothing_twice_and_the_dead_are_inherited(ledger_url: str) -> None:
    """Two live runs with clocks three years apart share the work; a third dies, and the fourth takes over."""
    fill(ledger_url, 120)
    slow = SimulatorConfig(judge=Judge(utility="length"), latency=0.1)
    with Simulator(slow) as server:
        both = [judge(ledger_url, server, "boxA", YEARS), judge(ledger_url, server, "boxA", -YEARS)]
        for process in both:
            begin(process)
        said = [process.communicate(timeout=120)[0].split() for process in both]
        assert sum(int(requests) for requests, _ in said) == server.stats().hits == 120
        assert all(int(requests) for requests, _ in said)
    with Simulator(slow) as server, Ledger.open(ledger_url) as ledger:
        fill(ledger_url, 160)  # forty more
        dead = judge(ledger_url, server, "boxB", YEARS)
        begin(dead)
        while not server.stats().hits and dead.poll() is None:
            time.sleep(0.01)
        dead.kill()
        dead.communicate()
        began = time.monotonic()
        out, _ = judge(ledger_url, server, "boxC", 0.0).communicate("go\n", timeout=120)
        assert time.monotonic() - began < 30
        assert out.split()[1] == "0"
        assert len(verdicts(ledger)) == 160
        assert server.stats().hits - 40 <= 4 + 4  # what was in flight when it died
        assert rows(ledger, CLAIM) - rows(ledger, COMPLETION) <= 64
        with ledger.writing() as writer:
            assert writer.beats() == {}
