"""Rollouts that a server draws: the same losses as in this process, and the correction for older weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import tensor

from db.errors import ConfigError
from examples.rollout_server import PolicyServer
from farm.config import Decoding, TrainConfig
from farm.methods import METHODS, load
from farm.models.generation import Drawn
from farm.models.policy import Policy
from farm.models.tokens import Prompt, Tokens
from farm.runs.rollout_server import SglangDialect, WrongShape, checked
from farm.statistics.win_rates import WinRate, win_rate
from farm.training.batches import Rollout
from farm.training.credit import Credit, Graded
from farm.training.data import Demonstration
from farm.training.importance import corrected, response_weights, token_weights
from farm.training.processes import Processes
from farm.training.rollout import draw
from farm.training.rollout_method import draws_at_server
from farm.training.rollout_server import RolloutRequest, prompt_seed
from tests.support.on_policy import PROMPTS, letters, made_on, trained_on
from tests.support.rollout_server import running, served_by, serving
from tests.support.tiny_models import ModelMaker


@pytest.mark.parametrize("name", ["grpo", "ppo"])
def test_a_server_with_the_same_weights_gives_the_losses_of_this_process(
    name: str, model_dir: str, tmp_path: Path
) -> None:
    """Two rollouts, at a temperature: the same responses, so the same scores, losses and weights."""
    options = {"epochs": 2, "learning_rate": 3e-3, "temperature": 0.9}
    here = trained_on(name, model_dir, PROMPTS, **options)
    with serving(model_dir) as server:
        there = trained_on(name, model_dir, PROMPTS, served=served_by(server, tmp_path), **options)
    assert [line["loss"] for line in there.log] == pytest.approx(
        [line["loss"] for line in here.log], abs=1e-5
    )
    for metric in ("objective/scores", "completions/mean_length"):
        assert [line[metric] for line in there.log] == [line[metric] for line in here.log]
    for line in there.log:
        assert line["served/apart"] < 1e-5
        assert line["served/weight"] == pytest.approx(1, abs=1e-5)
        assert line["seconds/pushing"] > 0
    assert [Path(folder).name for folder in server.pushed] == ["weights-0", "weights-1"]
    assert [folder.name for folder in tmp_path.iterdir()] == ["weights-1"]
    assert server.asked == 2 * len(PROMPTS)
    for mine, other in zip(here.method.trained.parameters(), there.method.trained.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-3)


def test_the_tokens_are_those_that_the_server_drew(model_dir: str, tmp_path: Path) -> None:
    """SGLang's way: what it drew is learnt from as it is, with its log-probabilities; no seed is sent."""
    policy, decoding = Policy.load(model_dir), Decoding(max_new_tokens=6, temperature=0.7)
    with serving(model_dir) as server:
        served = served_by(server, tmp_path, SglangDialect())
        served.renew(0, policy, TrainConfig(), Processes())
        drawn = draw(policy, PROMPTS[:2], decoding, seed=1, n=3, server=served.server)
        one = draw(policy, PROMPTS[:1], decoding, seed=1, server=served.server)
    assert len(drawn.texts) == 6
    assert len(one.texts) == 1
    torch.testing.assert_close(policy(drawn.tokens, 0.7).detach(), drawn.logps, atol=1e-4, rtol=1e-4)


def test_older_weights_are_made_up_for(model_dir: str, tmp_path: Path) -> None:
    """With weights that are held for two rollouts the second rollout's importance weights are not 1."""
    with serving(model_dir) as server:
        served = served_by(server, tmp_path, every=2)
        method = made_on("grpo", model_dir, PROMPTS, served=served, epochs=4)
        first, second = [next(method.feed.plans(step)) for step in (0, 1)]
        method.feed.drawn(first)
        with torch.no_grad():
            for weight in method.policy.parameters():
                weight.add_(0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
        rollout = method.feed.drawn(second)
    assert len(server.pushed) == 1
    torch.testing.assert_close(method.policy(rollout.tokens).detach(), rollout.logps)
    before = Policy.load(model_dir)(rollout.tokens)
    torch.testing.assert_close(before, rollout.sampler_logps, atol=1e-4, rtol=1e-4)
    ratio = (rollout.logps - before).exp()
    assert ratio.max() > 1.05
    credit = method._trainer.worth(rollout, method.config, Processes())
    found = method.worth(rollout)
    expected = credit.advantages * ratio.clamp(max=2.0)
    torch.testing.assert_close(found.advantages, expected, atol=1e-3, rtol=1e-3)
    assert found.stats["served/weight"] != 1


def rollout_of(old: list[float], sampler: list[float]) -> Rollout:
    """One response."""
    shape = (1, len(old))
    mask, nothing = torch.ones(shape, dtype=torch.bool), torch.zeros(shape)
    tokens = Tokens(torch.ones(shape, dtype=torch.long), mask)
    return Rollout(
        tokens,
        logps=tensor([old]).log(),
        ref_logps=nothing,
        values=nothing,
        score=tensor([1.0]),
        ended=tensor([True]),
        sampler_logps=tensor([sampler]).log(),
    )


def test_weights_by_hand() -> None:
    """Ratios 2, 1/2 and 5: cut at 3 they are 2, 1/2 and 3; of the whole response 5, cut at 3."""
    rollout = rollout_of([0.4, 0.2, 0.5], [0.2, 0.4, 0.1])
    assert token_weights(rollout, 3.0)[0].tolist() == pytest.approx([2, 0.5, 3])
    assert response_weights(rollout, 10.0).tolist() == pytest.approx([5])
    assert response_weights(rollout, 3.0).tolist() == pytest.approx([3])
    ones = torch.ones(1, 3)
    credit = corrected(Credit(rollout, 7 * ones, ones, {}), 3.0, Processes())
    assert credit.advantages[0].tolist() == pytest.approx([14, 3.5, 21])
    assert credit.weight == 3
    assert credit.stats["served/capped"] == pytest.approx(1 / 3)
    assert credit.stats["served/weight"] == pytest.approx(5.5 / 3)
    graded = corrected(Graded(rollout, tensor([-2.0]), tensor([1.0]), {}), 3.0, Processes())
    assert graded.advantages.tolist() == pytest.approx([-6])


def test_the_corrected_gradient_is_that_on_policy_unless_it_is_cut() -> None:
    """Three tokens, drawn by another softmax: the expectation over all of them, in float64."""
    logits, sampler = tensor([0.3, -1.0, 0.5]).double(), tensor([0.2, 0.5, 0.3]).double()
    policy, advantages = logits.softmax(-1), tensor([1.0, -2.0, 0.5]).double()
    scores = torch.eye(3).double() - policy  # d log π(k) / d logits
    on_policy = (policy * advantages) @ scores
    for cap in (1e9, 1.2):
        weights = torch.cat(
            [token_weights(rollout_of([p], [q]), cap)[0] for p, q in zip(policy, sampler, strict=True)]
        )
        found = (sampler * weights.double() * advantages) @ scores
        expected = (torch.minimum(policy, cap * sampler) * advantages) @ scores
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
        assert torch.allclose(found, on_policy, atol=1e-6) == (cap > 10)


def test_a_server_of_another_model_is_refused_at_once(
    model_dir: str, make_model: ModelMaker, tmp_path: Path
) -> None:
    class Deaf(PolicyServer):
        def load(self, folder: str) -> None:
            pass

    other = str(make_model(seed=5))
    said = "nats a token away from the policy's"
    with pytest.raises(ConfigError, match=said), running(Deaf(other)) as server:
        trained_on("grpo", model_dir, PROMPTS, served=served_by(server, tmp_path))


def test_a_token_that_the_policy_does_not_know_is_refused(
    model_dir: str, make_model: ModelMaker, tmp_path: Path
) -> None:
    wider = str(make_model(vocabulary=5000))
    with serving(wider) as server, pytest.raises(ConfigError, match="beyond the 259 that the policy knows"):
        client = served_by(server, tmp_path).server
        draw(Policy.load(model_dir), PROMPTS, Decoding(max_new_tokens=6), seed=1, server=client)


ASK = RolloutRequest([5, 6], n=1, room=3, temperature=1.0, seed=0, ends=(0, 2), never=())


@pytest.mark.parametrize(
    ("ids", "logps", "what"),
    [
        ([], [], "no token ids"),
        ([3, "4"], [-1.0, -1.0], "no token ids"),
        ([3, 4, 2], [-1.0, -1.0], "3 tokens has 2"),
        ([3, 2], [-1.0, float("nan")], "no finite number"),
        ([3, 2], [-1.0, None], "no finite number"),
        ([3, 2], [-1.0, 0.5], "no finite number"),
        ([3, 4, 5, 2], [-1.0] * 4, "at most 3"),
        ([0, 4, 2], [-1.0] * 3, "goes on after token 0"),
        ([3, 4], [-1.0] * 2, "ended a response with token 4"),
    ],
)
def test_a_response_that_nothing_can_learn_from_is_refused(
    ids: list[int], logps: list[float], what: str
) -> None:
    with pytest.raises(WrongShape, match=what):
        checked(Drawn(ids, logps, ended=False), ASK)


def test_the_last_token_says_whether_a_response_ended() -> None:
    assert checked(Drawn([3, 2], [-1.0, -1], ended=False), ASK) == Drawn([3, 2], [-1.0, -1.0], ended=True)
    assert not checked(Drawn([3, 4, 5], [-1.0] * 3, ended=True), ASK).ended


def test_a_prompts_seed_is_its_own_and_gives_the_runs_back() -> None:
    seeds = {prompt_seed(7, [1, k]) for k in range(100)}
    assert len(seeds) == 100
    assert all(prompt_seed(prompt_seed(7, [1, k]), [1, k]) == 7 for k in range(100))
    assert max(seeds) < 2**60


MANY = [Prompt(f"tell me {i}") for i in range(40)]


def against_the_start(policy: Policy, start: Policy) -> WinRate:
    """The win rate on prompts that nobody trained on, by the true reward: letters, four at most."""
    decoding = Decoding(max_new_tokens=4)
    drawn = [draw(each, MANY, decoding, seed=seed, n=8) for seed, each in ((8, policy), (9, start))]
    mine, theirs = (letters(each.prompts, each.texts) for each in drawn)
    assert mine.mean() > 3.8 > theirs.mean()
    return win_rate((mine > theirs).double() + 0.5 * (mine == theirs), [i // 8 for i in range(len(mine))])


@pytest.mark.slow
def test_a_server_four_pushes_behind_still_reaches_the_optimum(model_dir: str, tmp_path: Path) -> None:
    """The best response has four letters. The win rate stays within the interval of the run in process."""
    options = {"epochs": 40, "learning_rate": 5e-3, "max_new_tokens": 4, "n": 8, "schedule": "constant"}
    here = trained_on("grpo", model_dir, PROMPTS, beta=0.0, **options)
    with serving(model_dir, lag=4) as server:
        served = served_by(server, tmp_path)
        there = trained_on("grpo", model_dir, PROMPTS, beta=0.0, served=served, **options)
    assert there.mean("served/apart", slice(1, 9)) > 0.3
    assert there.mean("served/capped", slice(1, 9)) > 0.02
    start = Policy.load(model_dir)
    learnt: list[Any] = [here.method, there.method]
    expected, found = (against_the_start(method.policy, start) for method in learnt)
    assert expected.interval.low is not None
    assert expected.interval.high is not None
    assert expected.interval.low <= found.value <= expected.interval.high


SERVED = [name for name in METHODS if draws_at_server(load(name))]
SHOWN = [Demonstration(prompt, "hello") for prompt in PROMPTS]


@pytest.mark.parametrize("name", [*SERVED, "a_star_po"])
def test_a_weight_on_the_advantage_is_one_on_the_loss(name: str, model_dir: str) -> None:
    """The loss is affine in advantages of one sign, also off the policy that drew. a_star_po's is not."""
    further = {"token_reward": model_dir} if name == "rto" else {}
    method = made_on(name, model_dir, PROMPTS, demonstrations=SHOWN, n=2, **further)
    lesson = method.feed.learn(next(method.feed.plans(0)))
    drawn = getattr(lesson, "experience", lesson)
    with torch.no_grad():
        for weight in method.policy.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))

    def loss(factor: float) -> float:
        scaled = drawn._replace(advantages=factor * drawn.advantages)
        with torch.no_grad():
            found = method.loss(scaled if drawn is lesson else lesson._replace(experience=scaled))
        return float(found.loss)

    none, one, three = loss(0.0), loss(1.0), loss(3.0)
    assert abs(one - none) > 1e-4
    affine = three - none == pytest.approx(3 * (one - none), rel=1e-3, abs=1e-5)
    assert affine == (name in SERVED)


def test_fifteen_methods_can_be_served() -> None:
    """docs/decisions.md says how many; those that learn of pairs, levels or a teacher are not among them."""
    assert len(SERVED) == 15
    assert not {"online_dpo", "quark", "a_star_po", "on_policy_distillation", "sft"} & set(SERVED)
