"""RTO: token rewards by hand, ppo without them, and where they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import tensor

from farm.config import ModelConfig
from farm.methods.rto import RTOConfig, token_term
from farm.models.hub import ModelError
from farm.models.ops import gae, kl_shaped_reward
from farm.models.policy import Policy
from farm.models.rewards import load_token_reward
from tests.support.on_policy import PROMPTS, MethodMaker, MethodTrainer, gradients_of_splits
from tests.support.tiny_models import ModelMaker

MASK = tensor([[False, True, True, True], [False, True, True, False]])
RATIO = tensor([[9.0, 0.4, -3.0, 0.2], [9.0, 1.2, -0.6, 9.0]], dtype=torch.float64)


@pytest.fixture(scope="module")
def tuned(make_model: ModelMaker) -> str:
    """Another policy than the reference."""
    return str(make_model(seed=7))


def test_token_rewards_by_hand() -> None:
    """β₁ 0.05 and c 0.05: 0.02, −0.15 cut to −0.05, 0.01; and 0.06 cut to 0.05, −0.03. Off the mask 0."""
    found = token_term(RATIO, MASK, RTOConfig())
    expected = [[0.0, 0.02, -0.05, 0.01], [0.0, 0.05, -0.03, 0.0]]
    assert found.tolist() == [pytest.approx(row, abs=1e-12) for row in expected]


def test_all_three_terms_by_hand() -> None:
    """β₂ 0.1 of log-ratios 0.3, 0, −0.2 and 1, 0.5; β₃ 2 of scores 1 and −0.5, on the last token."""
    logps = tensor([[9.0, 0.3, 0.0, -0.2], [9.0, 1.0, 0.5, 9.0]], dtype=torch.float64)
    scores = 2.0 * tensor([1.0, -0.5], dtype=torch.float64)
    whole = kl_shaped_reward(scores, logps, torch.zeros_like(logps), MASK, beta=0.1)
    whole = whole + token_term(RATIO, MASK, RTOConfig())
    expected = [[0.0, -0.03 + 0.02, -0.05, 0.02 + 2.0 + 0.01], [0.0, -0.1 + 0.05, -0.05 - 1.0 - 0.03, 0.0]]
    assert whole.tolist() == [pytest.approx(row, abs=1e-12) for row in expected]


def test_a_delayed_term_is_paid_at_the_end_and_is_worth_as_much() -> None:
    at_once, late = (token_term(RATIO, MASK, RTOConfig(delayed=delayed)) for delayed in (False, True))
    assert (late != 0).sum(-1).tolist() == [1, 1]
    assert [late[0, 3].item(), late[1, 2].item()] == pytest.approx([-0.02, 0.02], abs=1e-12)
    values = torch.zeros_like(late)
    one, other = (gae(each, values, MASK, gamma=1.0, lam=1.0).returns for each in (at_once, late))
    assert one[:, 1].tolist() == pytest.approx(other[:, 1].tolist())
    assert one[0, 3] != other[0, 3]


def test_without_a_weight_it_is_ppo(trained: MethodTrainer, tuned: str) -> None:
    options = {"max_steps": 2, "learning_rate": 1e-3, "beta": 0.05}
    plain = trained("ppo", **options)
    for given in ({"token_weight": 0.0}, {"token_weight": 0.0, "delayed": True, "token_reward": tuned}):
        mine = trained("rto", **options, **given)
        assert [line["loss"] for line in mine.log] == [line["loss"] for line in plain.log]
    other = trained("rto", **options, token_reward=tuned)
    assert other.log[0]["loss"] != plain.log[0]["loss"]
    assert other.log[0]["objective/token_rewards"] != 0


def test_the_policy_that_rates_and_its_reference_are_read_at_the_temperature_of_the_draw(
    made: MethodMaker, tuned: str, model_dir: str
) -> None:
    method = made("rto", token_reward=tuned, temperature=0.7, token_clip=9.0, beta=0.0, score_weight=0.0)
    rollout = method.feed.drawn(next(method.feed.plans(0)))
    found, stats = method.reward(rollout)
    with torch.no_grad():
        logps, reference = (Policy.load(each)(rollout.tokens, 0.7) for each in (tuned, model_dir))
    assert torch.allclose(found, 0.05 * (logps - reference), atol=1e-6)
    assert stats["objective/token_rewards"].item() == pytest.approx(found.sum(-1).mean().item(), rel=1e-5)


def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(made: MethodMaker, tuned: str) -> None:
    method: Any = made("rto", token_reward=tuned)
    plan = next(method.feed.plans(0))._replace(prompts=PROMPTS[:2], whole=PROMPTS[:2])
    method.value.double()
    lesson = method.feed.learn(plan)
    whole, *split = gradients_of_splits(method, lesson, (8, 2, 1))
    assert whole.norm() > 0
    for each in split:
        assert (each - whole).norm() < 1e-12 * whole.norm()


def test_a_folder_that_names_its_reference_is_held_to_that_one(
    tuned: str, model_dir: str, make_model: ModelMaker, tmp_path: Path
) -> None:
    folder = make_model(seed=8)
    card = {"kind": "log_ratio", "reference": tuned, "beta": 0.05, "read": "sum"}
    (folder / "reward.json").write_text(json.dumps(card))
    config, mine = ModelConfig(), Policy.load(model_dir)
    named = load_token_reward(str(folder), config, lambda: mine)
    assert named.reference is not mine
    assert named.beta == 1.0
    assert load_token_reward(tuned, config, lambda: mine).reference is mine
    (folder / "reward.json").write_text(json.dumps({"kind": "pair"}))
    with pytest.raises(ModelError, match="a reward of kind 'pair' rates no tokens"):
        load_token_reward(str(folder), config, lambda: mine)
