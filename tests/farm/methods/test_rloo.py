import math
from typing import Any

import pytest
import torch
from torch import tensor
from torch.autograd import gradcheck

from db.errors import ConfigError
from farm.methods.rloo import RLOOConfig, leave_one_out, rloo_loss, sequence_reward
from farm.models.ops import masked_sum
from tests.support.on_policy import MethodTrainer, padded, vectors


@pytest.mark.parametrize("case", vectors("rloo"))
@pytest.mark.parametrize(("left", "right"), [(0, 0), (3, 2)])
def test_advantages_loss_and_gradient_are_trls(case: dict[str, Any], left: int, right: int) -> None:
    old, ref, now = (padded(case[name], left, right) for name in ("old_logps", "ref_logps", "logps"))
    mask = ~now.isnan()
    rewards = sequence_reward(tensor(case["scores"]).double(), old, ref, mask, case["beta"])
    advantages = leave_one_out(rewards, case["n"])
    assert advantages.tolist() == pytest.approx(case["advantages"], rel=1e-5)
    now.requires_grad_()
    loss = rloo_loss(masked_sum(now, mask), masked_sum(old, mask), advantages, case["clip"]).mean()
    assert loss.item() == pytest.approx(case["loss"], rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, now)
    assert gradient[mask].tolist() == pytest.approx([g for row in case["gradient"] for g in row], rel=1e-5)
    assert not gradient[~mask].any()


def test_leave_one_out_by_hand() -> None:
    """Rewards 1, 2, 6: the others' means are 4, 7/2, 3/2. Another prompt is apart."""
    advantages = leave_one_out(tensor([1.0, 2.0, 6.0, 5.0, 5.0, 5.0]), 3)
    assert advantages.tolist() == [-3.0, -1.5, 4.5, 0.0, 0.0, 0.0]


def test_reward_by_hand() -> None:
    """Two tokens, each twice as likely as under the reference, β ½: 3 − ½ · 2 log 2."""
    logps, ref = (
        tensor([[0.0, math.log(0.5), math.log(0.5)]]),
        tensor([[9.0, math.log(0.25), math.log(0.25)]]),
    )
    reward = sequence_reward(tensor([3.0]), logps, ref, tensor([[0, 1, 1]]), 0.5)
    assert reward.item() == pytest.approx(3 - math.log(2))


def test_clipping_by_hand() -> None:
    """ρ = 2 and ε = ½: a good response counts 3/2, a bad one 2; at ρ = ¼, a good one ¼, a bad one ½."""
    ratio = tensor([2.0, 2.0, 0.25, 0.25]).log()
    losses = rloo_loss(ratio, torch.zeros(4), tensor([1.0, -1.0, 1.0, -1.0]), 0.5)
    assert losses.tolist() == pytest.approx([-1.5, 2.0, -0.25, 0.5])


def test_at_ratio_1_the_gradient_is_reinforce() -> None:
    logps = torch.randn(6, dtype=torch.float64, requires_grad=True)
    advantages = torch.randn(6, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(rloo_loss(logps, logps.detach(), advantages, 0.2).sum(), logps)
    assert torch.allclose(gradient, -advantages)


def test_gradients() -> None:
    logps = torch.randn(5, dtype=torch.float64, requires_grad=True)
    old, advantages = logps.detach() + 0.3 * torch.randn(5).double(), torch.randn(5, dtype=torch.float64)
    assert gradcheck(lambda x: rloo_loss(x, old, advantages, 0.2), [logps])


def test_one_response_has_no_baseline() -> None:
    with pytest.raises(ConfigError, match="n is 1"):
        RLOOConfig(n=1)


def test_learns(trained: MethodTrainer) -> None:
    run = trained("rloo", learning_rate=3e-3, epochs=40.0, beta=0.02, schedule="constant")
    assert run.mean("objective/scores", slice(-5, None)) > run.mean("objective/scores", slice(5)) + 3


def test_a_larger_beta_holds_the_policy_to_its_reference(trained: MethodTrainer) -> None:
    free, held = (
        trained("rloo", learning_rate=3e-3, epochs=25.0, beta=beta, schedule="constant").mean(
            "objective/kl", slice(-5, None)
        )
        for beta in (0.0, 1.0)
    )
    assert 0 < held < free / 2
