"""PPO-ptx: ppo without its two changes, demonstrations by hand, and scores that are centred."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from farm.methods.ppo_ptx import shuffled
from farm.training.data import DataError, Demonstration
from farm.training.rows import take
from tests.support.on_policy import (
    PROMPTS,
    MethodMaker,
    MethodTrainer,
    gradients_of_splits,
    letters,
    trained_on,
)

SHOWN = [Demonstration(prompt, f"{word} {word}") for prompt, word in zip(PROMPTS, "abcde", strict=False)]
PLAIN = {"ptx_coef": 0.0, "center_scores": False, "beta": 0.05}


def test_without_its_changes_it_is_ppo(trained: MethodTrainer) -> None:
    options = {"max_steps": 2, "learning_rate": 1e-3}
    ours = trained("ppo_ptx", demonstrations=SHOWN, **options, **PLAIN)
    theirs = trained("ppo", beta=0.05, **options)
    for one, other in zip(ours.method.trained.parameters(), theirs.method.trained.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_loss_of_demonstrations_by_cross_entropy(made: MethodMaker) -> None:
    """Summed over their tokens, divided by the response tokens of the step."""
    method = made("ppo_ptx", demonstrations=SHOWN, ptx_coef=0.5)
    plan = next(method.feed.plans(0))
    lesson = method.learnt(plan)
    found = method.loss(lesson).loss - super(type(method), method).loss(lesson).loss
    total = 0.0
    for number in lesson.imitated.tolist():
        codec = method.policy.codec
        row = codec.row(SHOWN[number].prompt, SHOWN[number].output)
        ids = torch.tensor(row.prompt + row.response)
        logits = method.policy.model(ids[None, :-1]).logits[0]
        first = len(row.prompt)
        total += cross_entropy(logits[first - 1 :], ids[first:], reduction="sum").item()
    assert found.item() == pytest.approx(0.5 * total / lesson.weight.item(), rel=1e-5)


def test_parts_of_a_batch_add_up(made: MethodMaker) -> None:
    method = made("ppo_ptx", demonstrations=SHOWN, ptx_coef=0.5)
    [batch] = next(method.feed.batches(0))
    whole, *split = gradients_of_splits(method, batch, (len(batch.tokens.ids), 2, 1))
    for each in split:
        assert (each - whole).norm() < 1e-12 * whole.norm()


def test_a_response_keeps_its_demonstration_and_each_is_used_alike(made: MethodMaker) -> None:
    again = made("ppo_ptx", demonstrations=SHOWN)
    method = made("ppo_ptx", demonstrations=SHOWN)
    plans = method.feed.plans(0)
    found = method.learnt(next(plans)).imitated
    assert found.tolist() == again.learnt(next(again.feed.plans(0))).imitated.tolist()
    assert {found.tolist().count(number) for number in range(len(SHOWN))} <= {6, 7}  # 32 responses, 5 of them
    assert take(method.learnt(next(method.feed.plans(0))), torch.tensor([3, 1])).imitated.tolist() == [
        found[3].item(),
        found[1].item(),
    ]
    assert shuffled(7, 3, seed=0).tolist() != shuffled(7, 3, seed=1).tolist()


def test_scores_of_demonstrations_have_mean_0(made: MethodMaker) -> None:
    method = made("ppo_ptx", demonstrations=SHOWN)
    prompts, outputs = [each.prompt for each in SHOWN], [each.output for each in SHOWN]
    assert method.feed.reward(prompts, outputs).mean().item() == pytest.approx(0)
    shift = letters(prompts, outputs).mean().item()
    assert shift > 0
    assert method.feed.reward(prompts, ["abc"] * 5).tolist() == pytest.approx([3 - shift] * 5)


def test_demonstrations_are_learnt(model_dir: str) -> None:
    options = {"learning_rate": 3e-3, "max_steps": 30, "epochs": 30.0, "schedule": "constant"}
    run = trained_on("ppo_ptx", model_dir, PROMPTS, demonstrations=SHOWN, ptx_coef=1.0, **options)
    assert run.log[-1]["loss/ptx"] < 0.7 * run.log[0]["loss/ptx"]


def test_without_demonstrations_it_says_so(made: MethodMaker) -> None:
    with pytest.raises(DataError, match=r"no demonstrations.*--demonstrations"):
        made("ppo_ptx")
