"""Wall clocks that jump by years at each look, and servers that ask to wait for ever.

No request is paid twice, durations stay durations, and a wait ends.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import func, select

from annotators.clients import RetryPolicy
from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.ledger import Ledger
from db.tables import COMPLETION, LEASE
from tests.support.attacks import attacked, completion, ledger_of, raw_server, reply
from tests.support.command_line import farm_arguments
from tests.support.judging_runs import fill

PAIRS, WIDTH = 60, 4
COMPILER = shutil.which("cc") or shutil.which("gcc")
JUMPS = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long looks;

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME) {
        long look = __sync_fetch_and_add(&looks, 1), day = 86400, years = 3 * 365 * day;
        switch (getenv("CLOCK")[0]) {
            case 'f': now->tv_sec += look * day; break;
            case 'b': now->tv_sec -= look * day < years ? look * day : years; break;
            default: now->tv_sec += look % 2 ? years : -years;
        }
    }
    return failed;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *into, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    into->tv_sec = now.tv_sec;
    into->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""
"""The wall clock of a process, moved at each look: a day forwards or backwards, or three years to and fro."""


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator(SimulatorConfig(judge=Judge(utility="length"), latency=0.05)) as running:
        yield running


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
@pytest.mark.parametrize("clock", ["forwards", "backwards", "to and fro"])
def test_a_clock_that_jumps_neither_pays_twice_nor_waits(
    clock: str, server: Simulator, tmp_path: Path
) -> None:
    assert COMPILER is not None
    (tmp_path / "jumps.c").write_text(JUMPS)
    library = tmp_path / "jumps.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, tmp_path / "jumps.c"], check=True)
    environ = os.environ | {"LD_PRELOAD": str(library), "CLOCK": clock}

    def begun(ledger: Path) -> subprocess.Popen[str]:
        flags = ("--base-url", server.base_url, "--concurrency", WIDTH, "--json")
        command = farm_arguments(ledger, "annotate", "plain", *flags)
        return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)

    fill(tmp_path / "farm.db", PAIRS)
    before = server.stats().hits
    both = [begun(tmp_path / "farm.db") for _ in range(2)]
    reports = [json.loads(each.communicate(timeout=60)[0]) for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert server.stats().hits - before == PAIRS == sum(each["requests"] for each in reports)
    with Ledger.open(tmp_path / "farm.db") as ledger, ledger.reading() as connection:
        first, last = connection.execute(
            select(func.min(COMPLETION.c.seconds), func.max(COMPLETION.c.seconds))
        ).one()
        assert 0.05 <= first <= last < 10
        assert connection.execute(select(func.count()).select_from(LEASE)).scalar_one() == 0

    fill(tmp_path / "killed.db", PAIRS)
    before = server.stats().hits
    killed = begun(tmp_path / "killed.db")
    while server.stats().hits - before < PAIRS // 3:
        assert killed.poll() is None
    killed.kill()
    killed.communicate()
    again = begun(tmp_path / "killed.db")
    assert json.loads(again.communicate(timeout=60)[0])["elsewhere"] == 0  # what a dead run claimed is free
    assert PAIRS <= server.stats().hits - before <= PAIRS + WIDTH


FOR_EVER = (
    "1e300",
    "1.7e308",
    "-5",
    "nan",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Fri, 31 Dec 99999 23:59:59 GMT",
    "Mon, 01 Jan 0001 00:00:00 +2359",
)


@pytest.mark.slow
def test_a_server_that_asks_to_wait_for_ever_is_asked_again_after_two_minutes(tmp_path: Path) -> None:
    turn = count()

    def answer(head: bytes) -> Iterator[bytes]:
        now = next(turn)
        if now < len(FOR_EVER):
            yield reply(b"{}", "429 Too Many Requests", f"retry-after: {FOR_EVER[now]}\r\n")
        else:
            yield reply(completion())

    longest = RetryPolicy().longest_wait
    with raw_server(answer) as url:
        ledger = ledger_of(tmp_path, pairs=len(FOR_EVER))
        began = time.monotonic()
        done = attacked(ledger, "annotate", "plain", "--base-url", url, "--model", "m", timeout=longest + 60)
    assert done.code == 0, done.error
    assert time.monotonic() - began > longest
    assert "8 new judgements (8 ok)" in done.out
