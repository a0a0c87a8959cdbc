"""A run whose fresh responses a server judges, killed at random moments: same weights, nothing paid twice."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from signal import SIGKILL

import pytest

from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.ledger import Ledger
from farm.judging.provider import Provider
from tests.support import forked
from tests.support.command_line import farm_arguments
from tests.support.judging_runs import FULL
from tests.support.online_runs import OPTIONS, learnt, ledger_of_sums, paid, same_bits, task
from tests.support.tiny_models import write_model

KILLS = 20 if FULL else 2
STEPS = 40 if FULL else 5
WIDTH = 4  # requests in flight
MOST_LATER = 0.15  # seconds from a request to the kill: judging, learning, drawing and the next requests


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "ledger_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
def test_killed_at_random_a_run_ends_with_the_same_weights_and_pays_nothing_twice(
    ledger_url: str, tmp_path: Path
) -> None:
    model = str(write_model(tmp_path / "model"))
    for url in (ledger_url, tmp_path / "calm.db"):
        ledger_of_sums(url)
    options = {**OPTIONS, "max_steps": str(STEPS), "epochs": "9", "save_every": "3"}
    judge = Judge(utility="length", noise=0.2)
    with Simulator(SimulatorConfig(judge=judge, latency=0.02)) as server:
        with Ledger.open(tmp_path / "calm.db") as calm:
            provider = Provider(base_url=server.base_url, concurrency=WIDTH)
            learnt(calm, task(model, tmp_path / "calm", provider=provider), **options)
            bill = paid(calm)
        before = server.stats().hits
        assert before == bill.requests == 8 * STEPS
        command = ["train", "online_dpo", "--model", model, "--set", "sums", "--held-out", 0]
        command += ["--out", tmp_path / "killed", "--annotator", "plain", "--concurrency", WIDTH]
        command += ["--base-url", server.base_url]
        command += [part for name, value in options.items() for part in (f"--{name}", value)]
        arguments, said = farm_arguments(ledger_url, *command), tmp_path / "said.txt"
        moments = random.Random(KILLS)

        def came(least: int) -> bool:
            return server.stats().hits > least

        for hits in sorted(moments.sample(range(before - WIDTH), KILLS)):
            later, come = moments.uniform(0, MOST_LATER), partial(came, before + hits)
            ended = forked.run(arguments, said, later, kill_when=come)
            assert ended.code == -SIGKILL, ended.said
        ended = forked.run(arguments, said)
        assert ended.code == 0, ended.said
        with Ledger.open(ledger_url) as ledger:
            ledger.check()
            assert paid(ledger) == bill
        twice = server.stats().hits - before - bill.requests
    assert 0 <= twice <= KILLS * WIDTH, f"{twice} were paid twice in {KILLS} kills"
    assert same_bits(tmp_path / "calm", tmp_path / "killed")
    print(f"{KILLS} kills, {twice} replies paid twice")
