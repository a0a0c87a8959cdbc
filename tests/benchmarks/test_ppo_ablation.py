"""The arms of the ablation of ppo do what their names say, and differences are of equal seeds."""

from itertools import islice
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import ppo_ablation
from farm.methods.ppo import PPO, PPOConfig
from farm.models.ops import gae
from farm.training.data import Data
from farm.training.run_models import LoadedModels
from tests.support.on_policy import PROMPTS, letters
from tests.support.tiny_models import write_model


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random Llama."""
    return str(write_model(tmp_path_factory.mktemp("model")))


def made(kind: type[PPO], model: str, **options: Any) -> PPO:
    """A method of the ablation on the tiny model; its values are not all 0."""
    config = PPOConfig(**{"max_new_tokens": 8, "batch_size": 8, "lam": 0.9, "beta": 0.0, **options})
    method = kind(config, Data(PROMPTS), LoadedModels(model, config, reward=letters))
    nn.init.normal_(method.value.model.score.weight, std=0.1)
    return method


def test_a_score_after_the_end_is_that_of_an_extra_state(model_dir: str) -> None:
    method = made(ppo_ablation.ScoreAfterTheEnd, model_dir)
    rollout = method.feed.drawn(next(method.feed.plans(0)))
    lesson = method.lesson(rollout)
    with torch.no_grad():
        after = method.value(rollout.tokens)
    for row, mask in enumerate(rollout.tokens.mask):
        values = torch.cat([rollout.values[row, mask], after[row : row + 1]])[None]
        rewards = torch.zeros_like(values)
        rewards[0, -1] = rollout.score[row]
        expected = gae(rewards, values, torch.ones_like(values), gamma=1.0, lam=0.9).returns[0]
        assert lesson.experience.returns[row, mask].tolist() == pytest.approx(
            expected[:-1].tolist(), rel=1e-4
        )
        assert expected[-1].item() == pytest.approx(rollout.score[row].item())
    assert torch.equal(lesson.experience.rollout.score, rollout.score)


def test_kept_minibatches_come_again_and_fresh_values_are_used(model_dir: str) -> None:
    options = {"rollout_epochs": 2, "minibatches": 2}
    kept, dealt = (made(kind, model_dir, **options) for kind in (ppo_ablation.MinibatchesKept, PPO))
    ids = [
        [step[0].tokens.ids.tolist() for step in islice(method.feed.batches(0), 4)]
        for method in (kept, dealt)
    ]
    assert ids[0][:2] == ids[0][2:] == ids[1][:2]
    assert ids[1][2:] != ids[1][:2]
    again = made(ppo_ablation.ValuesAgain, model_dir, **options)
    steps = again.feed.batches(0)
    first = [next(steps)[0], next(steps)[0]]
    nn.init.zeros_(again.value.model.score.weight)
    second = [next(steps)[0], next(steps)[0]]
    assert all(batch.experience.rollout.values.any() for batch in first)
    assert not any(batch.experience.rollout.values.any() for batch in second)


def test_a_head_of_an_arm_is_that_which_both_sides_begin_with(model_dir: str) -> None:
    config = PPOConfig(seed=3)
    data, models = Data(PROMPTS), LoadedModels(model_dir, config, reward=letters)
    head = ppo_ablation.HeadAtRandom(config, data, models).value.model.score.weight
    drawn = torch.randn(head.shape, generator=torch.Generator().manual_seed(3)) / (head.shape[1] + 1) ** 0.5
    assert torch.equal(head, drawn)


def test_differences_are_of_equal_seeds() -> None:
    """Differences of 1 and 3: 2 ± t(1) 1, and t(1) is 12.706. A third seed of ppo has no partner."""
    found = {
        "ppo": [{"reward": 0.0}, {"reward": 1.0}, {"reward": 9.0}],
        "lambda 1": [{"reward": 1.0}, {"reward": 4.0}],
    }
    table = ppo_ablation.compared(found, "lambda 1")["reward"]
    assert (table["mean"], table["n"]) == (2.0, 2)
    assert table["high"] == pytest.approx(2 + 12.706, abs=1e-3)
    assert ppo_ablation.compared(found, "ppo")["reward"]["mean"] == pytest.approx(10 / 3)
