"""Pairwise PPO: anchors that stay, what a tie is worth, and ppo on the preferences themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, tensor

from farm.models.tokens import Prompt
from farm.training.rollout import by_scores
from tests.support.on_policy import PROMPTS, MethodMaker, MethodTrainer, gradients_of_splits, letters

Asked = list[tuple[Sequence[Prompt], Sequence[str], Sequence[str]]]


def heard(method: Any, asked: Asked, silent: str = "") -> Any:
    """The method with a judge by letters that notes what it is asked, and says nothing on some prompts."""
    judge = by_scores(letters)

    def noted(prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
        asked.append((prompts, first, second))
        quiet = tensor([bool(silent) and silent in each.instruction for each in prompts])
        return judge(prompts, first, second).masked_fill(quiet, torch.nan)

    method.feed.judge = lambda rollout: noted
    return method


def test_anchors_are_the_references_and_stay_for_the_run(made: MethodMaker) -> None:
    asked: Asked = []
    method = heard(made("pairwise_ppo", n=2, anchors=3, batch_size=4, epochs=2.0), asked)
    plans = list(method.feed.plans(0))
    method.feed.drawn(plans[0])
    with torch.no_grad():
        for weight in method.policy.parameters():
            weight.mul_(0.5)
    again = next(plan for plan in plans[2:] if plan.prompts[0] in plans[0].prompts)
    method.feed.drawn(again)
    anchors = [
        {(p.instruction, i % 3, b) for i, (p, b) in enumerate(zip(prompts, second, strict=True))}
        for prompts, _, second in asked
    ]
    common = {p.instruction for p in plans[0].prompts} & {p.instruction for p in again.prompts}
    assert common
    kept = [{each for each in found if each[0] in common} for found in anchors]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 3 * len(common), "both responses meet the same three"
    prompts, first, _ = asked[0]
    assert len(prompts) == 4 * 2 * 3
    assert [first[i] == first[i + 1] for i in (0, 1)] == [True, True]


def test_the_score_is_the_mean_preference_and_a_tie_is_paid_nothing(made: MethodMaker) -> None:
    asked: Asked = []
    method = heard(made("pairwise_ppo", n=2, anchors=2, batch_size=4, beta=0.0), asked)
    rollout = method.feed.drawn(next(method.feed.plans(0)))
    (prompts, first, second) = asked[0]
    expected = by_scores(letters)(prompts, first, second).view(-1, 2).mean(1)
    assert torch.allclose(rollout.score.double(), expected)
    reward, _ = method.reward(rollout)
    assert torch.allclose(reward.sum(-1).double(), expected - 0.5, atol=1e-6)
    assert not method.reward(rollout._replace(score=torch.full((8,), 0.5)))[0].any()


def test_responses_without_a_judgement_are_left_out(made: MethodMaker) -> None:
    method = heard(made("pairwise_ppo", n=2), [], silent="so")
    (batch,) = next(method.feed.batches(0))
    spoken = sum("so" not in prompt.instruction for prompt in PROMPTS)
    assert len(batch.tokens.ids) == 2 * spoken
    loss, stats = method.loss(batch)
    assert loss.isfinite()
    assert stats["judging/without_judgement"].item() == pytest.approx(1 - spoken / len(PROMPTS))
    alone = heard(made("pairwise_ppo", n=2), [])
    rows = [i for i, prompt in enumerate(PROMPTS) if "so" not in prompt.instruction]
    plan = next(alone.feed.plans(0))
    kept = [prompt for prompt in plan.prompts if "so" not in prompt.instruction]
    assert len(rows) == len(kept)
    lesson = alone.feed.learn(plan._replace(prompts=kept, whole=kept))
    mine = batch.experience.advantages.sum(-1).sort().values
    assert torch.allclose(mine, lesson.experience.advantages.sum(-1).sort().values, atol=1e-4)


def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(made: MethodMaker) -> None:
    method: Any = made("pairwise_ppo", missing_eos_penalty=0.5)
    plan = next(method.feed.plans(0))._replace(prompts=PROMPTS[:2], whole=PROMPTS[:2])
    method.value.double()
    lesson = method.feed.learn(plan)
    lesson = lesson._replace(
        experience=lesson.experience._replace(rollout=lesson.experience.rollout._replace(preferences=None))
    )
    whole, *split = gradients_of_splits(method, lesson, (8, 2, 1))
    assert whole.norm() > 0
    for each in split:
        assert (each - whole).norm() < 1e-12 * whole.norm()


def test_learns(trained: MethodTrainer) -> None:
    run = trained("pairwise_ppo", max_steps=15, epochs=15.0, learning_rate=1e-2, beta=0.0)
    assert run.mean("objective/scores", slice(-5, None)) > run.mean("objective/scores", slice(5)) + 0.2
