"""The comparison of learning with TRL: its options, its evaluator and its arithmetic."""

from pathlib import Path

import pytest
import torch
import yaml

from benchmarks import learning, learning_measures, learning_task
from farm.config import ModelConfig, build
from farm.methods import load
from farm.models.codec import collate
from farm.models.policy import Policy
from farm.models.tokens import Prompt

OPTIONS = yaml.safe_load(learning.OPTIONS.read_text())


@pytest.mark.parametrize(
    "job", learning.jobs(OPTIONS, list(OPTIONS["arms"]), ["ours"], [0]), ids=learning.key_of
)
def test_every_arm_names_options_that_our_method_has(job: dict[str, object]) -> None:
    build(load(str(job["method"])).Config, dict(job["options"]))  # type: ignore[call-overload]


def test_the_evaluator_rates_a_response_as_our_policy_does(tmp_path: Path) -> None:
    model = learning_task.new_model(0).eval()
    learning_task.save(model, tmp_path)
    prompts, texts = ["w3 w9", "w66 w5 w4 w4"], ["w8 w12 w3", "w7"]
    theirs, count = learning_measures.response_logps(model, prompts, texts)
    policy = Policy.load(str(tmp_path), ModelConfig(template="{instruction}"))
    rows = [policy.codec.row(Prompt(prompt), text) for prompt, text in zip(prompts, texts, strict=True)]
    with torch.no_grad():
        ours = policy(collate(rows, policy.codec.pad_id)).sum(-1)
    assert theirs.tolist() == pytest.approx(ours.tolist(), rel=1e-5)
    assert count.tolist() == [4, 2]


def test_the_true_reward_and_the_best_loss_by_hand() -> None:
    """Two of w4 w5 w8 are divisible by 4. A chain that is sure of every word needs nats for the end alone."""
    assert learning_task.true_reward("w4 w5 w8") == pytest.approx(2 / 3)
    assert learning_task.true_reward("") == 0
    sure = torch.eye(64).roll(1, dims=1)  # each word is followed by the next
    nats = learning_task.chain_nll(sure, [{"prompt": "w3 w4", "response": "w5 w6"}])
    assert nats == pytest.approx(-(torch.tensor(10 / 11).log() + torch.tensor(1 / 11).log()).item() / 3)


def test_a_difference_has_welchs_interval() -> None:
    """1, 2, 3 and 2, 3, 4: -1 ± t(4) √(1/3 + 1/3), and t(4) is 2.776."""
    assert learning.difference([1, 2, 3], [2, 3, 4]) == "-1.000 [-3.267, +1.267]"


@pytest.mark.parametrize(("goal", "expected"), [(0.5, 15.0), (0.4, 10.0), (0.9, None), (0.2, 0.0)], ids=str)
def test_the_seconds_to_a_goal_lie_on_straight_lines(goal: float, expected: float | None) -> None:
    found = learning.seconds_to(goal, [0, 10, 20], [0.2, 0.4, 0.6])
    assert found == (None if expected is None else pytest.approx(expected))
    falling = learning.seconds_to(-goal, [0, 10, 20], [-0.2, -0.4, -0.6])
    assert falling == found
