"""The simulated judges of the world, asked with real prompts over HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.ledger import Ledger
from farm.annotate import annotate
from farm.judging.provider import Provider, Task
from farm.progress import silent
from farm.world.judges import MEMBERS, QUIET_MODEL, cast, member, world_simulator_config
from farm.world.people import judge_by_gold
from tests.support.world_pairs import demonstration_pairs

Read = Callable[[Ledger], dict[str, dict[int, list[float]]]]
PAIRS = 300


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    opened = Ledger.open(tmp_path / "world.db", create=True)
    with opened.writing() as writer:
        writer.pairs(demonstration_pairs(count=PAIRS))
    return opened


def ask(ledger: Ledger, name: str, config: SimulatorConfig, models: tuple[str, ...] = ()) -> Counter[str]:
    with Simulator(config) as simulator:
        report = annotate(ledger, name, Task(), silent, Provider(models, simulator.base_url))
    return Counter(report.statuses)


def agreement(one: dict[int, list[float]], other: dict[int, list[float]]) -> float:
    """Share of the pairs decided by both on which they agree."""
    decided = [
        {pair: np.mean(given) for pair, given in each.items() if np.mean(given) != 0.5}
        for each in (one, other)
    ]
    both = set(decided[0]) & set(decided[1])
    return float(np.mean([(decided[0][pair] > 0.5) == (decided[1][pair] > 0.5) for pair in both]))


def test_a_crowd_of_thirteen_and_a_quiet_judge(ledger: Ledger, verdicts: Read) -> None:
    names: set[str] = set()

    def noted(model: str, standing: str) -> Judge:
        names.add(standing)
        return cast(model, standing)

    with ledger:
        statuses = ask(ledger, "crowd-quiet", SimulatorConfig(casting=noted))
        assert len(names) == MEMBERS
        assert 0 < statuses["unreadable"] < 0.05 * PAIRS
        ask(ledger, "judge", world_simulator_config(), (QUIET_MODEL,))
        judge_by_gold(ledger)
        said = verdicts(ledger)
    assert agreement(said["judge"], said["world-gold"]) > 0.9
    assert 0.6 < agreement(said["crowd-quiet"], said["world-gold"]) < 0.85


def test_judges_have_tastes_of_their_own_that_stay() -> None:
    assert member("a", 0) == member("a", 0)
    assert member("a", 0) != member("b", 0)
    assert member("a", 0).weights != member("a", 1).weights
    assert cast("m", "prompt").noise == cast("m", "prompt").noise != cast("m", "other prompt").noise


def test_a_judge_is_quiet_about_what_is_not_of_this_world() -> None:
    judge = cast("m", "prompt")
    assert callable(judge.utility)
    assert judge.utility("Write a poem.", "", "Roses are red.") == 0.0
    better = judge.utility("Thank Anna for the hat.", "", "Thank you for the hat, Anna.")
    assert better > judge.utility("Thank Anna for the hat.", "", "Whatever.")


def test_the_casting_can_be_named_in_a_configuration_file() -> None:
    config = SimulatorConfig.from_mapping({"casting": "farm.world.judges:cast"})
    with Simulator(config) as simulator:
        assert simulator.stats().hits == 0
