import functools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import tensor
from torch.autograd import gradcheck

from farm.methods.grpo import group_advantages, grpo_loss
from farm.models.ops import kl_k3, masked_row_mean
from farm.models.tokens import Prompt, Tokens
from farm.training.batches import Rollout
from tests.support.on_policy import PROMPTS, MethodMaker, MethodTrainer, padded, vectors


@pytest.mark.parametrize("case", vectors("grpo"))
@pytest.mark.parametrize(("left", "right"), [(0, 0), (3, 2)])
def test_advantages_loss_and_gradient_are_trls(case: dict[str, Any], left: int, right: int) -> None:
    old, ref, now = (padded(case[name], left, right) for name in ("old_logps", "ref_logps", "logps"))
    mask = ~now.isnan()
    advantages = group_advantages(tensor(case["scores"]).double(), case["n"], case["scale"])
    assert advantages.tolist() == pytest.approx(case["advantages"], rel=1e-5)
    now = now.nan_to_num(7.0).requires_grad_()
    of_tokens = grpo_loss(
        now,
        old.nan_to_num(8.0),
        ref.nan_to_num(9.0),
        advantages[:, None],
        beta=case["beta"],
        clip=case["clip"],
        correct_kl=case["correct_kl"],
    )
    losses = masked_row_mean(of_tokens, mask)
    weights = mask.sum(1) if case["every_token"] else torch.ones(len(mask))
    loss = (losses * weights).sum() / weights.sum()
    assert loss.item() == pytest.approx(case["loss"], rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, now)
    assert gradient[mask].tolist() == pytest.approx([g for row in case["gradient"] for g in row], rel=1e-5)
    assert not gradient[~mask].any()


def test_trls_vectors_tell_the_two_gradients_of_the_kl_apart() -> None:
    """Two vectors differ in the correction alone; k3 of one token is about a thousand in both."""
    paper, corrected = vectors("grpo")[-2:]
    assert [case["correct_kl"] for case in (paper, corrected)] == [False, True]
    assert paper["logps"] == corrected["logps"]
    now, ref = (tensor(paper[name][0][1]).double() for name in ("logps", "ref_logps"))
    assert 500 < kl_k3(now, ref) < 2000
    one, other = (case["gradient"][0][1] for case in (paper, corrected))
    assert abs(one) > 50 * abs(other)


def test_advantages_by_hand() -> None:
    """Scores 0, 1, 2 have mean 1 and standard deviation 1; equal ones have nothing to learn from."""
    advantages = group_advantages(tensor([0.0, 1.0, 2.0, 3.0, 3.0, 3.0]), 3)
    assert advantages.tolist() == pytest.approx([-1 / 1.0001, 0.0, 1 / 1.0001, 0.0, 0.0, 0.0])
    assert group_advantages(tensor([0.0, 1.0, 5.0]), 3, scale=False).tolist() == [-2.0, -1.0, 3.0]


def test_loss_by_hand() -> None:
    """ρ = (2, 1), A = 1, ε = ½, π_ref/π = (1, e), β = ½: tokens gain 3/2 and 1 − ½ (e − 2)."""
    old, logps = tensor([[0.0, 0.0]]), tensor([[math.log(2), 0.0]])
    losses = grpo_loss(logps, old, tensor([[math.log(2), 1.0]]), tensor([[1.0]]), beta=0.5, clip=0.5)
    assert losses.mean().item() == pytest.approx(-(1.5 + 1 - 0.5 * (math.e - 2)) / 2)


def test_at_ratio_1_the_gradient_is_the_policy_gradient() -> None:
    logps = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    mask = tensor([[0, 1, 1, 1], [0, 1, 0, 0], [1, 1, 0, 0]])
    advantages = torch.randn(3, dtype=torch.float64)
    now = logps.detach()
    of_tokens = grpo_loss(logps, now, now, advantages[:, None], beta=0.3, clip=0.2)
    losses = masked_row_mean(of_tokens, mask)  # at the reference k3 is flat
    plain = -masked_row_mean(logps * advantages[:, None], mask)
    for one, other in zip(*(torch.autograd.grad(x.sum(), logps) for x in (losses, plain)), strict=True):
        assert torch.allclose(one, other)


def test_gradients() -> None:
    logps = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    old, ref = (logps.detach() + 0.3 * torch.randn(2, 3).double() for _ in range(2))
    advantages = tensor([[1.0, 1.0, 0.0], [-2.0, 3.0, -1.0]])
    for correct in (False, True):
        of_logps = functools.partial(grpo_loss, beta=0.1, clip=0.2, correct_kl=correct)
        assert gradcheck(lambda x, loss=of_logps: loss(x, old, ref, advantages), [logps])


@pytest.mark.parametrize("log_ratio", [7.0, 0.5, -3.0])
def test_the_gradient_of_the_kl_is_the_papers_or_the_corrected_one(log_ratio: float) -> None:
    """On policy, d/d log π of β k3 is β (1 - π_ref/π) as in eq. 4, or β log π/π_ref with the correction.

    log π_ref/π is 7 in one case, so k3 is 1,089 there: far from where the two agree.
    """
    logps = tensor([[-9.0]], dtype=torch.float64, requires_grad=True)
    old, ref, nothing = logps.detach(), logps.detach() + log_ratio, torch.zeros(1, 1, dtype=torch.float64)
    for correct, expected in ((False, 1 - math.exp(log_ratio)), (True, -log_ratio)):
        loss = grpo_loss(logps, old, ref, nothing, beta=0.5, clip=0.2, correct_kl=correct)
        assert loss.item() == pytest.approx(0.5 * (math.exp(log_ratio) - 1 - log_ratio))
        (gradient,) = torch.autograd.grad(loss.sum(), logps)
        assert gradient.item() == pytest.approx(0.5 * expected)


def test_the_corrected_gradient_is_that_of_the_exact_kl() -> None:
    """With 5 tokens the mean gradient of ρ k3 is that of KL(π ‖ π_ref); of k3 it is that of KL(π_ref ‖ π)."""
    logits = torch.randn(5, dtype=torch.float64, requires_grad=True)
    ref = torch.randn(5, dtype=torch.float64).log_softmax(0)
    logps = logits.log_softmax(0)
    (exact,) = torch.autograd.grad((logps.exp() * (logps - ref)).sum(), logits, retain_graph=True)
    (turned,) = torch.autograd.grad(-(ref.exp() * logps).sum(), logits, retain_graph=True)  # KL(π_ref ‖ π)
    for correct, expected in ((True, exact), (False, turned)):
        nothing, old = torch.zeros(5, dtype=torch.float64), logps.detach()
        losses = grpo_loss(logps, old, ref, nothing, beta=1.0, clip=0.2, correct_kl=correct)
        (gradient,) = torch.autograd.grad((old.exp() * losses).sum(), logits, retain_graph=True)
        assert torch.allclose(gradient, expected)


@pytest.mark.parametrize(("every_token", "expected"), [(False, -2.0), (True, -2.8)])
def test_what_counts_the_same(made: MethodMaker, every_token: bool, expected: float) -> None:
    """A response of one token gains 1, one of nine gains 3 a token: 2 by response, 28/10 by token."""
    method = made("grpo", every_token=every_token, n=2)
    mask = torch.arange(9) < tensor([[1], [9]])
    logps = method.policy(Tokens(torch.full((2, 10), 5), torch.nn.functional.pad(mask, (1, 0)))).detach()
    tokens = Tokens(torch.full((2, 10), 5), torch.nn.functional.pad(mask, (1, 0)))
    nothing = torch.zeros_like(logps)
    credit = method.worth(Rollout(tokens, logps, logps, nothing, tensor([0.0, 2.0]), tensor([True, True])))
    loss = method.loss(credit._replace(advantages=tensor([[1.0], [3.0]]))).loss
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_learns(trained: MethodTrainer) -> None:
    run = trained("grpo", learning_rate=3e-3, epochs=40.0, beta=0.02, schedule="constant")
    assert run.mean("objective/scores", slice(-5, None)) > run.mean("objective/scores", slice(5)) + 3


def test_groups_of_one_score_are_counted_as_a_share(made: MethodMaker) -> None:
    """Scores of half of the prompts differ between responses."""

    def some(prompts: Sequence[Prompt], texts: Sequence[str]) -> torch.Tensor:
        return tensor([float(i) * (p in PROMPTS[:4]) for i, p in enumerate(prompts)])

    method = made("grpo", reward=some)
    lesson = method.feed.learn(next(method.feed.plans(0)))
    assert lesson.stats["frac_reward_zero_std"].item() == 0.5
