"""GDPO: TRL's advantages, what grpo makes of the same rewards, and splits of a step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, tensor

from farm.methods.gdpo import decoupled, over_rollout
from farm.methods.grpo import group_advantages
from farm.models.reward_wrappers import WeightedRewards
from farm.models.tokens import Prompt
from tests.support.objectives import VECTORS
from tests.support.on_policy import PROMPTS, MethodMaker, gradients_of_splits, letters

FOUND = json.loads((VECTORS / "rollout_objectives.json").read_text())


def test_advantages_are_trls() -> None:
    [case] = [each for each in FOUND["methods"]["advantages"] if each["of"] == "gdpo"]
    scores = tensor(FOUND["inputs"]["two_rewards"], dtype=torch.float64)
    n = case["options"]["num_generations"]
    found = over_rollout(decoupled(scores, torch.ones(2), n))
    assert found.tolist() == pytest.approx(case["advantages"], abs=2e-6)


def test_by_hand_with_weights() -> None:
    """(1, 0) and (0, 10) are ±1/√2 and ∓1/√2, but for the floor. With weights 2 and −1 the sum is ±3/√2.

    grpo's weighted sum, 2 · (1, 0) − (0, 10), would be ruled by the second reward.
    """
    scores = tensor([[1.0, 0.0], [0.0, 10.0]], dtype=torch.float64)
    root = 0.5**0.5
    expected = 2 * 0.5 / (root + 1e-4) + 5.0 / (10 * root + 1e-4)
    found = decoupled(scores, tensor([2.0, -1.0]), 2)
    assert found.tolist() == pytest.approx([expected, -expected], abs=1e-6)
    plain = decoupled(scores, tensor([2.0, -1.0]), 2, scale=False)
    assert plain.tolist() == pytest.approx([6.0, -6.0])
    assert torch.allclose(plain, group_advantages(scores @ tensor([2.0, -1.0]).double(), 2, scale=False))


def test_combinations_with_one_sum_differ() -> None:
    """(1, 0) and (0, 1) have one sum, and one advantage of grpo's. Apart the rarer reward is worth more."""
    scores = tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    summed = group_advantages(scores.sum(-1), 4)
    assert summed[0] == summed[1]
    apart = decoupled(scores, torch.ones(2), 4)
    assert apart[0] > apart[1] + 0.1


def lengths(prompts: Sequence[Prompt], texts: Sequence[str]) -> Tensor:
    return tensor([float(len(each)) for each in texts])


def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(made: MethodMaker) -> None:
    several = WeightedRewards(
        [letters, lambda prompts, texts: tensor([float(len(each)) for each in texts])], [1.0, 0.3]
    )
    method: Any = made("gdpo", reward=several, missing_eos_penalty=0.5)
    plan = next(method.feed.plans(0))._replace(prompts=PROMPTS[:2], whole=PROMPTS[:2])
    lesson = method.feed.learn(plan)
    assert len(method.feed.each[0]) == 2
    whole, *split = gradients_of_splits(method, lesson, (8, 2, 1))
    assert whole.norm() > 0
    for each in split:
        assert (each - whole).norm() < 1e-12 * whole.norm()


def test_of_one_reward_it_is_grpo_on_another_scale(made: MethodMaker) -> None:
    one, plain = made("gdpo"), made("grpo")
    mine, theirs = (method.feed.learn(next(method.feed.plans(0))) for method in (one, plain))
    a, b = (batch.advantages.sum(-1) / batch.tokens.mask.sum(-1) for batch in (mine, theirs))
    assert torch.allclose(a, (b - b.mean()) / (b.std() + 1e-4), atol=1e-5)
