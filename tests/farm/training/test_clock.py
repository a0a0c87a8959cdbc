"""Where the seconds of a step go."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
import torch

from farm.methods.dpo import DPO, DPOConfig
from farm.models.tokens import Prompt
from farm.training.clock import spent, ticking
from farm.training.data import Data, PreferencePair
from farm.training.loop import fit
from farm.training.run_models import LoadedModels
from tests.support.on_policy import PROMPTS, NoCheckpoints, letters, trained_on

PARTS = {"seconds/drawing", "seconds/rating", "seconds/judging", "seconds/learning"}
WAIT = 0.05
HELD_OUT = [Prompt("never asked in training")]


def test_a_clock_counts_each_part_and_starts_again_when_it_is_read() -> None:
    with ticking() as clock:
        for _ in range(2):
            with spent("judging"):
                time.sleep(0.01)
        with spent("drawing"):
            pass
        first = clock.read()
        assert 0.02 <= first["judging"] < 1
        assert 0 <= first["drawing"] < 0.02
        assert clock.read() == {"judging": 0.0, "drawing": 0.0}
    with spent("judging"):
        pass
    assert clock.read() == {"judging": 0.0, "drawing": 0.0}, "nothing is counted outside of a run"


def slow(prompts: Sequence[Prompt], responses: Sequence[str]) -> torch.Tensor:
    """A reward that takes its time."""
    time.sleep(WAIT)
    return letters(prompts, responses)


@pytest.mark.parametrize("name", ["rloo", "ppo", "dapo", "quark", "online_dpo", "nash_md"])
def test_every_step_says_how_long_it_drew_rated_judged_and_learnt(name: str, model_dir: str) -> None:
    """quark asks its reference as it learns, dapo has none. Pairs are rated while they are judged."""
    start = time.monotonic()
    steps = trained_on(name, model_dir, PROMPTS, reward=slow, batch_size=4, epochs=2.0).log
    parts = PARTS - ({"seconds/rating"} if name in ("quark", "dapo") else set())
    apart = parts - ({"seconds/rating"} if name in ("online_dpo", "nash_md") else set())
    assert len(steps) == 4
    assert sum(line[part] for line in steps for part in apart) < time.monotonic() - start
    for line in steps:
        assert line.keys() & PARTS == parts
        assert all(line[part] > 0 for part in parts)
        assert line["seconds/judging"] >= WAIT
        assert sum(line[part] for part in apart) <= line["seconds/step"] < time.monotonic() - start
        assert line["tokens_per_second"] == line["tokens"] / line["seconds/step"] > 0


def test_what_is_held_out_is_drawn_in_no_step(model_dir: str) -> None:
    def wait(prompts: Sequence[Prompt], responses: Sequence[str]) -> torch.Tensor:
        time.sleep(2.0 if prompts[0] in HELD_OUT else 0)
        return letters(prompts, responses)

    options = {"max_steps": 2, "epochs": 2.0, "eval_every": 1, "held_out": HELD_OUT, "reward": wait}
    log = trained_on("rloo", model_dir, PROMPTS, **options).log
    assert sum("eval/loss" in line for line in log) == 2
    assert sum(line.get("seconds/judging", 0.0) for line in log) < 1


def test_a_rollout_of_several_steps_is_drawn_in_the_first(model_dir: str) -> None:
    steps = trained_on("rloo", model_dir, PROMPTS, minibatches=2, reward=slow).log
    assert [line["seconds/judging"] >= WAIT for line in steps] == [True, False]
    assert steps[1]["seconds/drawing"] == 0 < steps[1]["seconds/learning"]


def test_where_nothing_is_drawn_a_step_has_its_learning_alone(model_dir: str) -> None:
    """Two steps of 8 pairs are one line of the log, whose tokens and seconds are those of a step."""
    config = DPOConfig(max_steps=2, epochs=2.0, batch_size=8, log_every=2)
    log = list[dict[str, float]]()
    pairs = [PreferencePair(prompt, "good", "bad", 1.0) for prompt in PROMPTS]
    method = DPO(config, Data(pairs), LoadedModels(model_dir, config))
    start = time.monotonic()
    fit(method, config, lambda step, metrics: log.append(dict(metrics)), NoCheckpoints())
    took, (line,) = time.monotonic() - start, log
    assert {name for name in line if name.startswith("seconds/")} == {"seconds/learning", "seconds/step"}
    assert 0 < line["seconds/learning"] <= line["seconds/step"] <= took / 2
    assert line["tokens_per_second"] == line["tokens"] / line["seconds/step"] >= 2 * line["tokens"] / took
