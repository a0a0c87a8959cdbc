"""dr_grpo, dapo, gspo, cispo and reinforce_pp: what they are in the terms of one another, and of splits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, tensor

from farm.methods import cispo, dapo, dr_grpo, grpo, gspo, reinforce_pp
from farm.models.tokens import Tokens
from farm.training.batches import Rollout
from farm.training.method import Loss
from farm.training.processes import Processes
from tests.support.on_policy import PROMPTS, MethodMaker, gradients_of_splits

N = 4
LENGTHS = [3, 1, 5, 5, 2, 4, 4, 1]
NAMES = ["dr_grpo", "dapo", "gspo", "cispo", "reinforce_pp"]


def rollout(lengths: list[int]) -> Rollout:
    """Eight responses to two prompts, in float64, drawn by a policy near its reference."""
    torch.manual_seed(1)
    mask = torch.arange(max(lengths)) < tensor(lengths)[:, None]
    old = -3 * torch.rand(mask.shape, dtype=torch.float64) * mask
    return Rollout(
        tokens=Tokens(torch.zeros_like(mask, dtype=torch.long), mask),
        logps=old,
        ref_logps=old + 0.1 * torch.randn(mask.shape, dtype=torch.float64) * mask,
        values=torch.zeros_like(old),
        score=torch.randn(8, dtype=torch.float64),
        ended=torch.ones(8, dtype=torch.bool),
    )


def moved(drawn: Rollout, by: float = 0.5) -> Tensor:
    """Log-probabilities of a policy that has moved since it drew."""
    torch.manual_seed(2)
    step = by * torch.randn(drawn.logps.shape, dtype=torch.float64)
    return (drawn.logps + step * drawn.tokens.mask).requires_grad_()


def learnt(module: Any, drawn: Rollout, logps: Tensor, config: Any) -> tuple[Loss, Tensor]:
    """The loss and its gradient at each token."""
    found = module.loss(logps, module.worth(drawn, config, Processes()), config)
    (gradient,) = torch.autograd.grad(found.loss, logps)
    return found, gradient


def same(one: tuple[Loss, Tensor], other: tuple[Loss, Tensor], times: float = 1.0) -> None:
    assert one[0].loss.item() == pytest.approx(times * other[0].loss.item(), rel=1e-12)
    assert torch.allclose(one[1], times * other[1], rtol=1e-12, atol=1e-15)
    assert other[1].any()


def test_dr_grpo_is_grpo_without_its_spread_where_all_responses_are_as_long() -> None:
    """By 5 of at most 10 tokens: L halves the loss."""
    drawn = rollout([5] * 8)
    plain = grpo.GRPOConfig(n=N, beta=0.0, scale=False)
    theirs = learnt(grpo, drawn, moved(drawn), plain)
    mine = learnt(dr_grpo, drawn, moved(drawn), dr_grpo.DrGRPOConfig(n=N, max_new_tokens=10))
    same(mine, theirs, 0.5)
    for name in ("policy/approxkl_avg", "policy/clipfrac_avg"):
        assert mine[0].stats[name].item() == pytest.approx(theirs[0].stats[name].item())
    assert 0 < mine[0].stats["policy/clipfrac_avg"] < 1


def test_dr_grpo_weighs_a_token_alike_whatever_the_length_of_its_response() -> None:
    """On policy the gradient at every token is −A/L over the 8 responses."""
    drawn = rollout(LENGTHS)
    config = dr_grpo.DrGRPOConfig(n=N, max_new_tokens=10)
    _, found = learnt(dr_grpo, drawn, moved(drawn, 0.0), config)
    advantages = grpo.group_advantages(drawn.score, N, scale=False)[:, None]
    assert torch.allclose(found, -advantages * drawn.tokens.mask / 10 / 8)


def test_dapo_with_one_epsilon_is_grpo_by_tokens_on_each_prompt() -> None:
    drawn = rollout(LENGTHS)
    config = dapo.DAPOConfig(n=N, clip=0.2, clip_high=0.2)
    mine = learnt(dapo, drawn, moved(drawn), config)
    by_token = grpo.GRPOConfig(n=N, beta=0.0, every_token=True)
    halves = []
    for rows in (slice(0, 4), slice(4, 8)):
        part = Rollout(
            Tokens(*(x[rows] for x in drawn.tokens[:2])), *(x[rows] for x in drawn[1:6] if x is not None)
        )
        halves.append(learnt(grpo, part, moved(drawn)[rows].detach().requires_grad_(), by_token))
    assert mine[0].loss.item() == pytest.approx(sum(half[0].loss.item() for half in halves) / 2)
    assert torch.allclose(mine[1], torch.cat([half[1] for half in halves]) / 2)


def test_dapo_clips_unlikely_tokens_later() -> None:
    """A ratio of 1.25 and an advantage above 0: clipped by 0.2, not by 0.28. Below 1 nothing changes."""
    drawn = rollout([1] * 8)
    up, down = drawn.logps + tensor(1.25).double().log(), drawn.logps + tensor(0.75).double().log()
    gradients = {}
    for name, logps in (("up", up), ("down", down)):
        for high in (0.2, 0.28):
            config = dapo.DAPOConfig(n=N, clip_high=high)
            gradients[name, high] = learnt(dapo, drawn, logps.requires_grad_(), config)[1]
    better = grpo.group_advantages(drawn.score, N) > 0
    assert not gradients["up", 0.2][better].any()
    assert gradients["up", 0.28][better].all()
    assert torch.equal(gradients["down", 0.2], gradients["down", 0.28])


def test_gspo_is_grpo_where_responses_have_one_token() -> None:
    drawn = rollout([1] * 8)
    mine = learnt(gspo, drawn, moved(drawn), gspo.GSPOConfig(n=N, clip=0.2, clip_high=0.2))
    theirs = learnt(grpo, drawn, moved(drawn), grpo.GRPOConfig(n=N, beta=0.0))
    same(mine, theirs)
    assert mine[0].stats["policy/clipfrac_avg"] == theirs[0].stats["policy/clipfrac_avg"]


def test_gspo_on_policy_has_grpos_gradient() -> None:
    """All ratios are 1 then. Once they differ, gspo has one for a response, and grpo one for a token."""
    drawn, mine = rollout(LENGTHS), gspo.GSPOConfig(n=N, clip=0.9, clip_high=9.0)
    fresh, off = moved(drawn, 0.0), moved(drawn)
    theirs = grpo.GRPOConfig(n=N, beta=0.0, clip=0.9)
    assert torch.allclose(learnt(gspo, drawn, fresh, mine)[1], learnt(grpo, drawn, fresh, theirs)[1])
    apart = learnt(gspo, drawn, off, mine)[1]
    assert not torch.allclose(apart, learnt(grpo, drawn, off, theirs)[1])
    assert torch.equal(apart[2], apart[2, :1].expand(5)), "one ratio for the whole response"


def test_cispo_is_reinforce_weighed_by_the_cut_ratio() -> None:
    drawn = rollout(LENGTHS)
    logps, config = moved(drawn), cispo.CISPOConfig(n=N, ratio_max=1.3)
    ratio = (logps - drawn.logps).exp().detach()
    assert (ratio > 1.3).any()
    found = learnt(cispo, drawn, logps, config)[1]
    advantages = grpo.group_advantages(drawn.score, N)[:, None]
    tokens = tensor(LENGTHS).view(2, N).sum(1).repeat_interleave(N)[:, None]
    expected = -ratio.clamp(max=1.3) * advantages * drawn.tokens.mask / tokens / 2
    assert torch.allclose(found, expected, rtol=1e-12)
    assert found[drawn.tokens.mask].all(), "no token is without a gradient"


def test_reinforce_pp_without_kl_has_whitened_scores_and_with_a_baseline_those_of_a_group() -> None:
    """Responses as long as each other: every token's advantage is its score's, whitened."""
    drawn = rollout([3] * 8)
    for baseline in (False, True):
        config = reinforce_pp.ReinforcePPConfig(n=N, beta=0.0, baseline=baseline)
        made = reinforce_pp.worth(drawn, config, Processes())
        score = grpo.group_advantages(drawn.score, N, scale=False) if baseline else drawn.score
        told = score.repeat_interleave(3)
        expected = (told - told.mean()) / told.std()
        assert made.advantages.flatten().tolist() == pytest.approx(expected.tolist(), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(name: str, made: MethodMaker) -> None:
    """The gradient of a step, as the loop adds it up, after the policy has moved away from its draws."""
    method: Any = made(name, missing_eos_penalty=0.5)
    plan = next(method.feed.plans(0))._replace(prompts=PROMPTS[:2], whole=PROMPTS[:2])
    whole, *split = gradients_of_splits(method, method.feed.learn(plan), (8, 2, 1))
    assert whole.norm() > 0
    for each in split:
        assert (each - whole).norm() < 1e-12 * whole.norm()
