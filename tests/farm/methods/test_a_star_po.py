"""A*-PO: TRL's loss and values, the policy that it is least at, and values that are estimated once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, tensor

from farm.methods.a_star_po import a_star_po_loss
from farm.models.tokens import Prompt
from farm.training.reference_values import optimal_value
from tests.support.objectives import VECTORS, Case, cases, leaves, responses
from tests.support.on_policy import PROMPTS, MethodMaker, MethodTrainer, gradients_of_splits, letters


@pytest.mark.parametrize("case", cases("fresh", "a2po"))
def test_loss_and_gradients_are_trls(case: Case) -> None:
    rows = leaves(case.inputs["logps"])
    rated = responses(rows, case.inputs["ref_logps"])
    rewards, values = (tensor(case.options[name]).double() for name in ("rewards", "v_star"))
    loss = a_star_po_loss(rated.log_ratio, rewards - values, case.options["beta2"]).mean()
    loss.backward()
    assert loss.item() == pytest.approx(case.loss, rel=1e-9)
    found = [row.grad.tolist() for row in rows if row.grad is not None]
    assert found == [pytest.approx(row, rel=1e-6) for row in case.gradients["logps"]]


def test_values_are_trls_and_no_reward_is_too_large() -> None:
    (case,) = json.loads((VECTORS / "fresh_objectives.json").read_text())["methods"]["a2po_value"]
    found = optimal_value(tensor(case["rewards"]).double(), case["options"]["beta1"])
    assert found.tolist() == pytest.approx(case["v_star"], abs=1e-12)
    assert optimal_value(tensor([[1e6, 0.0]]).double(), 0.5).item() == pytest.approx(1e6, rel=1e-6)


def test_the_loss_is_0_at_the_best_policy() -> None:
    """π* ∝ π_ref exp(r/β): of all three responses β log π*/π_ref = r − V*, with V* = β log E exp(r/β)."""
    reference, rewards = tensor([[0.5, 0.3, 0.2], [0.2, 1.0, 0.7]], dtype=torch.float64)
    beta = 0.4
    value = beta * (reference * (rewards / beta).exp()).sum().log()
    best = (reference.log() + rewards / beta).log_softmax(-1)
    assert a_star_po_loss(best - reference.log(), rewards - value, beta).tolist() == pytest.approx(
        [0.0] * 3, abs=1e-15
    )
    as_often = rewards[[0] * 5 + [1] * 3 + [2] * 2]
    assert optimal_value(as_often[None], beta).item() == pytest.approx(value.item(), abs=1e-12)


def test_values_are_estimated_once_for_each_prompt(made: MethodMaker) -> None:
    seen: list[int] = []

    def counted(prompts: Sequence[Prompt], texts: Sequence[str]) -> Tensor:
        seen.append(len(texts))
        return letters(prompts, texts)

    options: dict[str, Any] = {"n": 1, "value_draws": 3, "batch_size": 4, "epochs": 2.0, "reward": counted}
    method = made("a_star_po", **options)
    first, _, *later = method.feed.plans(0)
    rollout = method.feed.drawn(first)
    assert seen == [4, 12]
    assert torch.equal(rollout.values[:, 0], rollout.values[:, -1])
    with torch.no_grad():
        for weight in method.policy.parameters():
            weight.mul_(0.5)
    again = method.feed.drawn(first)
    assert seen == [4, 12, 4], "only the policy has drawn"
    assert torch.equal(again.values[:, 0], rollout.values[:, 0])
    other = made("a_star_po", **options)
    value = dict(zip(first.prompts, rollout.values[:, 0].tolist(), strict=True))
    for plan in later:  # a resumed run, with other prompts beside
        found = dict(zip(plan.prompts, other.feed.drawn(plan).values[:, 0].tolist(), strict=True))
        for prompt in found.keys() & value.keys():
            assert found[prompt] == pytest.approx(value[prompt], abs=1e-5)


def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(made: MethodMaker) -> None:
    method: Any = made("a_star_po", n=1, value_draws=2)
    plan = next(method.feed.plans(0))
    whole, *split = gradients_of_splits(method, method.feed.learn(plan), (8, 2, 1))
    assert len(plan.prompts) == len(PROMPTS)
    assert whole.norm() > 0
    for each in split:
        assert (each - whole).norm() < 1e-12 * whole.norm()


def test_learns(trained: MethodTrainer) -> None:
    options = {"value_beta": 4.0, "beta": 0.3, "value_draws": 4, "learning_rate": 1e-2}
    run = trained("a_star_po", n=1, batch_size=8, max_steps=40, epochs=40.0, **options)
    assert run.mean("objective/scores", slice(-5, None)) > run.mean("objective/scores", slice(5)) + 1
