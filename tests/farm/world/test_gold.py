"""The truth is nobody's but the evaluation's: with gold made to raise, the world goes on as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotators.simulator import Simulator
from db.ledger import Ledger
from db.records import Output, Pair
from farm.annotate import annotate
from farm.judging.provider import Provider, Task
from farm.progress import silent
from farm.world import gold as truth
from farm.world.build import Sizes, WorldSpec, build, splits
from farm.world.demonstrations import demonstrate
from farm.world.judges import QUIET_MODEL, world_simulator_config
from farm.world.people import judge_by_gold, people

SPEC = WorldSpec(sizes=Sizes(sft=20, preference=20, unlabelled=5, validation=5, evaluation=5))


def test_the_best_answer_is_worth_most() -> None:
    asked = ("Thank Anna for the hat.", "")
    best = truth.gold(*asked, "Thank you for the hat, Anna. I hope this helps.")
    assert best == pytest.approx(sum(weight for weight in truth.WEIGHTS if weight > 0))
    for worse in (
        "Thank you for the hat, Anna.",
        "Thank you for the hat. I hope this helps.",
        "Whatever.",
        "",
    ):
        assert truth.gold(*asked, worse) < best


def test_nobody_but_the_evaluation_asks_gold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def secret(instruction: str, input: str, output: str) -> float:
        raise AssertionError("gold was asked")

    monkeypatch.setattr(truth, "gold", secret)
    with Ledger.open(tmp_path / "world.db", create=True) as ledger:
        build(ledger, SPEC)
        pairs = [
            Pair.of(*(Output(task.instruction, demonstrate(task, str(k)), sample=k) for k in (0, 1)))[0]
            for task in splits(SPEC)["preference"]
        ]
        with ledger.writing() as writer:
            writer.pairs(pairs)
        assert people(ledger, SPEC, persons_per_pair=4).new == 80
        with Simulator(world_simulator_config()) as simulator:
            for name, models in (("crowd", ()), ("crowd-quiet", ()), ("judge", (QUIET_MODEL,))):
                report = annotate(ledger, name, Task(), silent, Provider(models, simulator.base_url))
                assert report.statuses["ok"] >= 18
        with pytest.raises(AssertionError, match="gold was asked"):
            judge_by_gold(ledger)
