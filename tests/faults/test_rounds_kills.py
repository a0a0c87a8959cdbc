"""A run of rounds that is killed in every step of a round: same weights, nothing paid twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGKILL

import pytest

from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.ledger import Ledger
from farm.options.rounds import Rounds
from farm.rounds.rewriting import REWRITES
from tests.support import forked
from tests.support.command_line import farm_arguments
from tests.support.online_runs import ledger_of_sums, paid, same_bits
from tests.support.rounds_runs import OPTIONS, ROUNDS, learnt, task
from tests.support.tiny_models import write_model

PAIRS = 24
CHOSEN = 2  # instructions that are rewritten: a quarter of 8
WIDTH = 2  # requests in flight
EVA = replace(ROUNDS, creator="eva", rewriter="writer")
ON_BOTH = pytest.mark.parametrize(
    "ledger_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)


@dataclass
class Writer:
    """Makes an instruction longer by a keyed number, and counts how often it was asked."""

    said: list[str] = field(default_factory=list)

    def __call__(self, instruction: str, input: str, key: str) -> str:
        self.said.append(f"{instruction.removesuffix('.')} and {int(key[:4], 16)}.")
        return self.said[-1]


@dataclass
class KilledRun:
    """A run of rounds as a process of its own, beside one that was left in peace."""

    url: str
    path: Path
    server: Simulator
    rounds: Rounds

    def __post_init__(self) -> None:
        """Let the calm run come to its end."""
        self.model, self.folder = str(write_model(self.path / "model")), self.path / "killed"
        for url in (self.url, self.path / "calm.db"):
            ledger_of_sums(url)
        with Ledger.open(self.path / "calm.db") as calm:
            learnt(calm, task(self.model, self.path / "calm", self.server, rounds=self.rounds))
            self.bill, self.instructions = paid(calm), members(calm)
        self.before = self.server.stats().hits

    def asked(self, count: int) -> Callable[[], bool]:
        """Whether so many requests came."""
        return lambda: self.server.stats().hits >= self.before + count

    def there(self, place: str) -> Callable[[], bool]:
        """Whether the run has written such a file."""
        return lambda: any(self.folder.glob(place))

    def killed_at(self, moments: Mapping[str, Callable[[], bool]]) -> int:
        """Kill the run at each moment and let it end at last. Gives how many replies were asked for twice.

        Its instructions and weights are those of the calm run, and its bill is the same.
        """
        wanted = self.rounds
        command = ["train", "dpo", "--model", self.model, "--set", "sums", "--held-out", 0]
        command += ["--out", self.folder, "--annotator", "plain", "--base-url", self.server.base_url]
        command += ["--concurrency", WIDTH, "--rounds", wanted.count, "--round-prompts", wanted.prompts]
        command += ["--round-draws", wanted.draws, "--round-max-new-tokens", wanted.max_new_tokens]
        command += ["--creator", wanted.creator]
        command += ["--creator-model", wanted.rewriter] if wanted.rewriter else []
        command += [part for name, value in OPTIONS.items() for part in (f"--{name}", value)]
        arguments, said = farm_arguments(self.url, *command), self.path / "said.txt"
        for moment, come in moments.items():
            ended = forked.run(arguments, said, 0.0, kill_when=come)
            assert ended.code == -SIGKILL, f"when {moment}: {ended.said}{ended.error}"
        ended = forked.run(arguments, said)
        assert ended.code == 0, ended.error
        with Ledger.open(self.url) as ledger:
            ledger.check()
            assert paid(ledger) == self.bill
            assert members(ledger) == self.instructions
        assert same_bits(self.path / "calm" / "round-2", self.folder / "round-2")
        return self.server.stats().hits - 2 * self.before


def members(ledger: Ledger) -> set[tuple[str, str, str | None]]:
    """The instructions of all rounds and of all questions for rewrites, with what is said of them."""
    return {
        (each.set_name, each.instruction.text, each.meta)
        for each in ledger.memberships()
        if " round " in each.set_name
    }


@pytest.mark.timeout(600)
@ON_BOTH
def test_killed_in_every_step_a_run_ends_with_the_same_weights_and_pays_nothing_twice(
    ledger_url: str, tmp_path: Path
) -> None:
    judge = Judge(utility="length", noise=0.2)
    with Simulator(SimulatorConfig(judge=judge, latency=0.02)) as server:
        run = KilledRun(ledger_url, tmp_path, server, ROUNDS)
        assert run.before == run.bill.requests == 2 * PAIRS
        moments = {
            "the first round is judged": run.asked(5),
            "it is nearly judged": run.asked(PAIRS - 1),
            "it is learnt from": run.there("round-1"),
            "it is learnt": run.there("round-1/step-*"),
            "the second is judged": run.asked(PAIRS + WIDTH * 4 + 5),
            "it is learnt from too": run.there("round-2"),
        }
        twice = run.killed_at(moments)
    assert 0 <= twice <= len(moments) * WIDTH, f"{twice} were paid twice"


@pytest.mark.timeout(600)
@ON_BOTH
def test_killed_while_instructions_are_rewritten_a_run_has_the_same_ones_and_weights(
    ledger_url: str, tmp_path: Path
) -> None:
    """Each kill comes after two more rewrites, of eight; what they said is the same whenever it is said."""
    writer = Writer()
    judge = Judge(utility="length", noise=0.2, rewrites=writer)
    with Simulator(SimulatorConfig(judge=judge, latency=0.02)) as server:
        run = KilledRun(ledger_url, tmp_path, server, EVA)
        calm = list(writer.said)
        assert len(calm) == CHOSEN * REWRITES
        assert run.before == 2 * PAIRS + len(calm)
        writer.said.clear()

        def rewritten(count: int) -> Callable[[], bool]:
            return lambda: len(writer.said) >= count

        moments = {f"{count} rewrites were asked for": rewritten(count) for count in (1, 3, 5)}
        moments["all rewrites were asked for"] = rewritten(len(calm))
        moments["the second round is judged"] = run.asked(PAIRS + len(calm) + WIDTH * 5 + 3)
        twice = run.killed_at(moments)
    assert set(writer.said) == set(calm)
    assert 0 <= twice <= len(moments) * WIDTH, f"{twice} were asked for twice"
    assert len(writer.said) - len(calm) <= twice
