"""A run of rounds that is killed in every step of a round: same weights, no judgement paid twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL

import pytest

from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.ledger import Ledger
from tests.support import forked
from tests.support.command_line import farm_arguments
from tests.support.online_runs import ledger_of_sums, paid, same_bits
from tests.support.rounds_runs import OPTIONS, ROUNDS, learnt, task
from tests.support.tiny_models import write_model

PAIRS = 24
WIDTH = 2  # requests in flight


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "ledger_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
def test_killed_in_every_step_a_run_ends_with_the_same_weights_and_pays_nothing_twice(
    ledger_url: str, tmp_path: Path
) -> None:
    model, folder = str(write_model(tmp_path / "model")), tmp_path / "killed"
    for url in (ledger_url, tmp_path / "calm.db"):
        ledger_of_sums(url)
    judge = Judge(utility="length", noise=0.2)
    with Simulator(SimulatorConfig(judge=judge, latency=0.02)) as server:
        with Ledger.open(tmp_path / "calm.db") as calm:
            learnt(calm, task(model, tmp_path / "calm", server))
            bill = paid(calm)
        before = server.stats().hits
        assert before == bill.requests == 2 * PAIRS
        command = ["train", "dpo", "--model", model, "--set", "sums", "--held-out", 0, "--out", folder]
        command += ["--annotator", "plain", "--base-url", server.base_url, "--concurrency", WIDTH]
        command += ["--rounds", ROUNDS.count, "--round-prompts", ROUNDS.prompts]
        command += ["--round-draws", ROUNDS.draws, "--round-max-new-tokens", ROUNDS.max_new_tokens]
        command += [part for name, value in OPTIONS.items() for part in (f"--{name}", value)]
        arguments, said = farm_arguments(ledger_url, *command), tmp_path / "said.txt"

        def asked(count: int) -> Callable[[], bool]:
            return lambda: server.stats().hits >= before + count

        def there(place: str) -> Callable[[], bool]:
            return lambda: any(folder.glob(place))

        moments = {
            "the first round is judged": asked(5),
            "it is nearly judged": asked(PAIRS - 1),
            "it is learnt from": there("round-1"),
            "it is learnt": there("round-1/step-*"),
            "the second is judged": asked(PAIRS + WIDTH * 4 + 5),
            "it is learnt from too": there("round-2"),
        }
        for moment, come in moments.items():
            ended = forked.run(arguments, said, 0.0, kill_when=come)
            assert ended.code == -SIGKILL, f"when {moment}: {ended.said}{ended.error}"
        ended = forked.run(arguments, said)
        assert ended.code == 0, ended.error
        with Ledger.open(ledger_url) as ledger:
            ledger.check()
            assert paid(ledger) == bill
        twice = server.stats().hits - before - bill.requests
    assert 0 <= twice <= len(moments) * WIDTH, f"{twice} were paid twice"
    assert same_bits(tmp_path / "calm" / "round-2", folder / "round-2")
