"""Ending a run: Ctrl-C and SIGTERM in a process of its own, against a server that never answers; an error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotators.clients import Endpoint, Reply, Request, run_all
from annotators.clients.online import OnlineClient, OnlineOptions
from annotators.simulator import FaultPlan
from tests.support.simulated_provider import QUICK, keeping, provider, request

SCRIPT = """
import json, sys
from tests.support.simulated_provider import QUICK, request
from annotators.clients import Endpoint, run_all
from annotators.clients.online import OnlineClient, OnlineOptions

def receive(asked, completion):
    print(json.dumps([asked.key, completion.failure, completion.unmetered]), flush=True)

client = OnlineClient(Endpoint(sys.argv[1]), OnlineOptions(concurrency=8, retry=QUICK))
try:
    run_all(client, (request(n) for n in range(10_000)), receive)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_every_request_that_was_sent_is_accounted_for_within_seconds(sent: signal.Signals) -> None:
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    # a quarter of the requests hang, the others take their time
    faults = FaultPlan(rate=0.25, names=("hang",))
    with provider(faults=faults, latency=0.05) as simulator:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, simulator.base_url], env=environ, stdout=subprocess.PIPE, text=True
        )
        while simulator.stats().faults.get("hang", 0) < 3:
            time.sleep(0.02)
        started = time.monotonic()
        process.send_signal(sent)
        output, _ = process.communicate(timeout=60)
        seconds = time.monotonic() - started
        hits = simulator.stats().hits
    delivered = [json.loads(line) for line in output.splitlines()]
    assert process.returncode == 130
    assert seconds < 20  # of requests that hang: 3 of grace, the rest for a busy machine
    assert len({key for key, _, _ in delivered}) == len(delivered) == hits
    unknown = [each for each in delivered if each[1] == "interrupted"]
    assert 3 <= len(unknown) <= 8
    assert all(unmetered == 1 for _, _, unmetered in unknown)
    assert all(failure is None for _, failure, _ in delivered if failure != "interrupted")


def test_after_a_commit_that_failed_nothing_more_is_sent() -> None:
    """Replies that came together fail together; the first who commits hears of it, and all must stop."""
    held: list[Reply] = []

    def commit() -> None:
        if held:
            held.clear()
            raise OSError("the disk is full")

    options = OnlineOptions(concurrency=8, retry=QUICK)
    for _ in range(5):
        with provider(latency=0.05) as simulator:
            client = OnlineClient(Endpoint(simulator.base_url), options)
            with pytest.raises(OSError, match="the disk is full"):
                run_all(client, map(request, range(1000)), lambda _, reply: held.append(reply), commit)
            assert simulator.stats().hits <= 8
        held.clear()


def test_replies_that_come_during_a_commit_are_committed_together() -> None:
    """Also after a wait for requests, in which workers stand in line: else each reply has its own commit."""
    delivered: list[Reply] = []
    committed: list[int] = []

    def commit() -> None:
        if len(delivered) > sum(committed):
            committed.append(len(delivered) - sum(committed))
            time.sleep(0.005)  # as a disk takes

    def in_windows() -> Iterator[Request | None]:
        for number in range(128):
            yield request(number)
            if number % 32 == 31:
                yield None

    with provider() as simulator:
        client = OnlineClient(Endpoint(simulator.base_url), OnlineOptions(concurrency=16, retry=QUICK))
        run_all(client, in_windows(), keeping(delivered), commit)
    assert len(delivered) == sum(committed) == 128
    assert len(committed) < 64
