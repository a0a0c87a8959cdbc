"""The pairwise advantage: grpo's for differences of rewards, values by hand, and pairs that nobody judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, tensor

from farm.methods.grpo import group_advantages
from farm.methods.pairwise_grpo import pairwise_advantages
from farm.models.tokens import Prompt
from farm.training.data import DataError
from tests.support.on_policy import PROMPTS, MethodMaker, MethodTrainer, gradients_of_splits

NAN = float("nan")


def test_of_differences_of_rewards_it_is_grpos() -> None:
    torch.manual_seed(0)
    rewards = torch.randn(3, 5, dtype=torch.float64)
    leads = rewards[:, :, None] - rewards[:, None, :]
    plain = group_advantages(rewards.flatten(), 5, scale=False)
    assert torch.allclose(pairwise_advantages(leads, scale=False), plain, rtol=0, atol=1e-14)
    spread = (rewards.var(1, keepdim=True) + 1e-6).sqrt().expand(3, 5).flatten()
    assert torch.allclose(pairwise_advantages(leads), plain / spread, rtol=1e-12)
    assert torch.allclose(pairwise_advantages(leads), group_advantages(rewards.flatten(), 5), atol=1e-3)


def test_verdicts_by_hand() -> None:
    """a beats b and c, and b ties with c: means ⅔, −⅓, −⅓ over √(4/12 + 10⁻⁶) = 0.577351.

    A pair that nobody judged, b and c, is in neither sum: a has 2 of 2, b and c 1 of 1, over √(½ + 10⁻⁶).
    """
    judged = tensor([[[NAN, 1.0, 1.0], [-1.0, NAN, 0.0], [-1.0, 0.0, NAN]]], dtype=torch.float64)
    found = pairwise_advantages(judged)
    assert found.tolist() == pytest.approx([1.1546988, -0.5773494, -0.5773494], abs=1e-6)
    open_pair = judged.clone()
    open_pair[0, 1, 2] = open_pair[0, 2, 1] = NAN
    found = pairwise_advantages(open_pair)
    assert found.tolist() == pytest.approx([0.9428081, -0.9428081, -0.9428081], abs=1e-6)
    assert pairwise_advantages(torch.full((1, 3, 3), NAN)).tolist() == [0.0, 0.0, 0.0]
    assert pairwise_advantages(torch.zeros(1, 3, 3)).tolist() == [0.0, 0.0, 0.0]


class Longer:
    """A judge that prefers the longer text, knows which pairs it saw, and is silent on some prompts."""

    def __init__(self, silent: str = "") -> None:
        self.silent, self.asked = silent, list[tuple[str, str, str]]()

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
        self.asked += [(p.instruction, a, b) for p, a, b in zip(prompts, first, second, strict=True)]
        said = [
            NAN
            if self.silent and self.silent in p.instruction
            else float(len(a) > len(b)) + 0.5 * (len(a) == len(b))
            for p, a, b in zip(prompts, first, second, strict=True)
        ]
        return tensor(said, dtype=torch.float64)


def judged_by(method: Any, judge: Longer) -> Any:
    method.feed.judge = lambda rollout: judge
    return method


def test_every_pair_of_a_group_is_judged_once(made: MethodMaker) -> None:
    judge = Longer()
    method = judged_by(made("pairwise_grpo", batch_size=4), judge)
    plan = next(method.feed.plans(0))
    rollout = method.feed.drawn(plan)
    texts = method.feed.texts(rollout.tokens)
    expected = [
        (prompt.instruction, texts[4 * p + i], texts[4 * p + j])
        for p, prompt in enumerate(plan.prompts)
        for i in range(4)
        for j in range(i + 1, 4)
    ]
    assert judge.asked == expected
    of_row = rollout.preferences.view(-1, 4, 4)
    assert of_row.diagonal(dim1=1, dim2=2).isnan().all()
    filled = of_row.nan_to_num(0.5)
    assert torch.equal(filled + filled.mT, torch.ones_like(filled))
    assert rollout.score[0] == of_row[0, 0, 1:].mean()


def test_responses_without_a_judgement_are_left_out(made: MethodMaker) -> None:
    method = judged_by(made("pairwise_grpo"), Longer(silent="so"))
    (batch,) = next(method.feed.batches(0))
    heard = sum("so" not in prompt.instruction for prompt in PROMPTS)
    assert 0 < heard < len(PROMPTS)
    assert len(batch.tokens.ids) == 4 * heard
    loss, stats = method.loss(batch)
    assert loss.isfinite()
    assert stats["judging/without_judgement"].item() == pytest.approx(1 - heard / len(PROMPTS))
    with pytest.raises(DataError, match="0 of the 32 responses of a rollout got a judgement"):
        next(judged_by(made("pairwise_grpo"), Longer(silent="say")).feed.batches(0))


@pytest.mark.parametrize("options", [{}, {"every_token": True}])
def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(
    options: dict[str, Any], made: MethodMaker
) -> None:
    method: Any = made("pairwise_grpo", missing_eos_penalty=0.5, **options)
    plan = next(method.feed.plans(0))._replace(prompts=PROMPTS[:2], whole=PROMPTS[:2])
    whole, *split = gradients_of_splits(method, method.feed.learn(plan), (8, 2, 1))
    assert whole.norm() > 0
    for each in split:
        assert (each - whole).norm() < 1e-12 * whole.norm()


def letters_drawn(method: Any) -> float:
    """Lower-case letters in a response of the policy as it is now, on average."""
    texts: list[str] = method.feed.texts(method.feed.drawn(next(method.feed.plans(0))).tokens)
    return sum(c.islower() for text in texts for c in text) / len(texts)


def test_learns(made: MethodMaker, trained: MethodTrainer) -> None:
    """A judge by the number of lower-case letters: win rates are not scores, so the letters are counted."""
    run = trained("pairwise_grpo", max_steps=15, epochs=15.0, learning_rate=1e-2)
    assert letters_drawn(run.method) > letters_drawn(made("pairwise_grpo")) + 2
