"""The comparison of learning with TRL: its options, its evaluator and its arithmetic."""

from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from benchmarks import learning, learning_measures, learning_task, learning_world
from farm.config import ModelConfig, build
from farm.methods import load
from farm.models.codec import collate
from farm.models.policy import Policy
from farm.models.tokens import Prompt
from farm.world.build import WorldSpec, splits
from farm.world.language import BASE

FILES = [yaml.safe_load(path.read_text()) for path in learning.FILES.values()]


@pytest.mark.parametrize(
    "job",
    [job for each in FILES for job in learning.jobs(each, list(each["arms"]), ["ours"], [0])],
    ids=learning.key_of,
)
def test_every_arm_names_options_that_our_method_has(job: dict[str, object]) -> None:
    build(load(str(job["method"])).Config, dict(job["options"]))  # type: ignore[call-overload]


def test_the_evaluator_rates_a_response_as_our_policy_does(tmp_path: Path) -> None:
    model = learning_task.new_model(0).eval()
    learning_task.save(model, tmp_path)
    prompts, texts = ["w3 w9", "w66 w5 w4 w4"], ["w8 w12 w3", "w7"]
    theirs, count = learning_measures.response_logps(model, learning_task.TASK, prompts, texts)
    policy = Policy.load(str(tmp_path), ModelConfig(template="{instruction}"))
    rows = [policy.codec.row(Prompt(prompt), text) for prompt, text in zip(prompts, texts, strict=True)]
    with torch.no_grad():
        ours = policy(collate(rows, policy.codec.pad_id)).sum(-1)
    assert theirs.tolist() == pytest.approx(ours.tolist(), rel=1e-5)
    assert count.tolist() == [4, 2]


def test_a_text_of_the_world_is_read_as_the_same_tokens_by_evaluator_and_policy() -> None:
    """Ours reads prompt and response apart, TRL together; the evaluator reads them apart."""
    codec = Policy.load(str(BASE), ModelConfig(template="{instruction}")).codec
    shown = learning_world.demonstrations()[:50]
    row = codec.row(Prompt(shown[0]["prompt"]), shown[0]["response"])
    reader = learning_world.tokenizer()
    assert row.prompt == reader(shown[0]["prompt"])["input_ids"]
    assert [row.response] == learning_measures.ended(learning_world.TASK, [shown[0]["response"]])
    for each in shown:
        together = reader(f"{each['prompt']} {each['response']}")["input_ids"]
        apart = codec.row(Prompt(each["prompt"]), each["response"])
        assert [*together, reader.eos_token_id] == [*apart.prompt, *apart.response]
    assert not learning_world.is_clear(shown[0]["prompt"], "zebra? ")


def test_people_of_the_world_judge_its_pairs() -> None:
    """The worse response of each pair is worth less, and people err on fewer than half."""
    model = AutoModelForCausalLM.from_pretrained(BASE).eval()
    tasks = splits(WorldSpec(sizes=learning_world.SIZES))["preference"][:200]
    rows = learning_world.pairs(model, tasks, 60)
    worth = learning_world.true_reward
    assert all(worth(row["prompt"], row["better"]) > worth(row["prompt"], row["worse"]) for row in rows)
    assert 0.02 < sum(row["flipped"] for row in rows) / len(rows) < 0.5


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


def test_paces_have_the_share_of_seconds_where_both_reach_a_value() -> None:
    """TRL ends at .8 after 40 s. Ours is there after 15 s, halfway between its marks, and ends at 1."""
    ours = learning.Curve([0, 10, 20], [0.2, 0.6, 1.0])
    theirs = learning.Curve([0, 40], [0.2, 0.8])
    assert learning.paces(ours, theirs) == ["20.0 / 40.0 (0.50)", "15.0 / 40.0 (0.38)", "15.0 / 40.0 (0.38)"]
    assert learning.paces(theirs, ours)[1] == "- / 20.0"


@pytest.mark.parametrize(("goal", "expected"), [(0.5, 15.0), (0.4, 10.0), (0.9, None), (0.2, 0.0)], ids=str)
def test_the_seconds_to_a_goal_lie_on_straight_lines(goal: float, expected: float | None) -> None:
    found = learning.seconds_to(goal, [0, 10, 20], [0.2, 0.4, 0.6])
    assert found == (None if expected is None else pytest.approx(expected))
    falling = learning.seconds_to(-goal, [0, 10, 20], [-0.2, -0.4, -0.6])
    assert falling == found
