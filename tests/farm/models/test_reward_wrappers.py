"""Rewards made of rewards: sums, flips that a hash decides, and what flips do to advantages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, tensor

from farm.config import ModelConfig
from farm.methods.grpo import group_advantages
from farm.models.hub import ModelError
from farm.models.reward_wrappers import NoiseRule, NoiseUnit, NoisyReward, WeightedRewards
from farm.models.rewards import load_reward, reward_fingerprint, value_source
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt
from farm.runs.rules import reward_key

GROUPS, N = 4000, 3
PROMPTS = [Prompt(f"ask {i // N}") for i in range(GROUPS * N)]
TEXTS = [f"answer {i}" for i in range(GROUPS * N)]
RIGHT = tensor([1.0, 0.0, 0.0]).repeat(GROUPS)


def right(prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
    """1 for the first response to a prompt, 0 for the others."""
    return tensor([1.0 - float(int(text.split()[1]) % N > 0) for text in responses])


@pytest.mark.parametrize("per", ["group", "prompt", "response"])
@pytest.mark.parametrize("share", [0.1, 0.4, 0.5])
def test_flips_shrink_the_mean_advantage_by_1_minus_2p(share: float, per: NoiseUnit) -> None:
    """Centred advantages of (1, 0, 0) are ⅔, −⅓, −⅓. Of 4,000 groups the mean is known within 0.02 or so."""
    scores = NoisyReward(right, NoiseRule("flip", share, per))(PROMPTS, TEXTS)
    found = group_advantages(scores, N, scale=False).view(GROUPS, N).mean(0)
    expected = (1 - 2 * share) * tensor([2 / 3, -1 / 3, -1 / 3])
    assert torch.allclose(found, expected, atol=4 * 0.5 / GROUPS**0.5)
    together = (scores.view(GROUPS, N) != RIGHT.view(GROUPS, N)).float().std(1)
    assert bool(together.any()) == (per == "response"), "the responses of a group are flipped together"


def test_what_is_flipped_follows_from_the_texts() -> None:
    """Whatever else is scored beside; a group with another response is another one, a prompt is not."""
    rule = NoiseRule("flip", 0.5, "group", seed=3)
    whole = NoisyReward(right, rule)(PROMPTS[:60], TEXTS[:60])
    part = NoisyReward(right, rule)(PROMPTS[30:60], TEXTS[30:60])
    assert torch.equal(whole[30:], part)
    other = NoisyReward(right, rule._replace(seed=4))(PROMPTS[:60], TEXTS[:60])
    assert not torch.equal(whole, other)
    moved = [text + " " for text in TEXTS[:60]]
    assert not torch.equal(NoisyReward(right, rule)(PROMPTS[:60], moved), whole)
    fixed = NoisyReward(right, rule._replace(per="prompt"))
    assert torch.equal(fixed(PROMPTS[:60], moved), fixed(PROMPTS[:60], TEXTS[:60]))


def test_inverted_random_and_untouched() -> None:
    inverted = NoisyReward(right, NoiseRule("invert"))(PROMPTS[:6], TEXTS[:6])
    assert inverted.tolist() == [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    about_2 = NoisyReward(lambda p, t: tensor([5.0, 1.5]), NoiseRule("invert", centre=2.0))
    assert about_2(PROMPTS[:2], TEXTS[:2]).tolist() == [-1.0, 2.5]
    assert torch.equal(NoisyReward(right, NoiseRule("flip", 0.0))(PROMPTS, TEXTS), RIGHT)
    drawn = NoisyReward(right, NoiseRule("random", per="response"))(PROMPTS, TEXTS)
    assert sorted(set(drawn.tolist())) == [0.0, 1.0]
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.02)
    both = torch.stack([drawn, RIGHT])
    assert torch.corrcoef(both)[0, 1].abs().item() < 0.04


def test_several_rewards_are_their_weighted_sum() -> None:
    long = WeightedRewards([right, lambda p, t: tensor([4.0, 2.0, 1.0])], [2.0, -0.5])
    assert long(PROMPTS[:3], TEXTS[:3]).tolist() == [0.0, -1.0, -0.5]
    assert long.each(PROMPTS[:3], TEXTS[:3]).tolist() == [[1.0, 4.0], [0.0, 2.0], [0.0, 1.0]]


@pytest.fixture(scope="module")
def scorer(model_dir: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scorer")
    Scorer.load(model_dir, new_head=True, seed=2).save(folder)
    return folder


def card(folder: Path, **said: Any) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "reward.json").write_text(json.dumps(said))
    return str(folder)


def test_folders_are_loaded_and_stand_on_each_other(scorer: Path, tmp_path: Path) -> None:
    noisy = card(tmp_path / "noisy", kind="noisy", reward=str(scorer), how="invert", centre=0.0)
    both = [{"reward": "../noisy", "weight": 2}, {"reward": str(scorer), "weight": 1}]
    weighted = card(tmp_path / "weighted", kind="weighted", rewards=both)
    asked = [Prompt("a"), Prompt("b")], ["one", "two"]
    plain, turned, summed = (
        load_reward(each, ModelConfig())(*asked) for each in (str(scorer), noisy, weighted)
    )
    assert torch.allclose(turned, -plain)
    assert torch.allclose(summed, -plain, atol=1e-6)
    assert plain.abs().sum() > 0
    assert value_source(noisy) == str(scorer)
    assert value_source(weighted) is None


def test_another_member_is_another_reward(scorer: Path, tmp_path: Path) -> None:
    """Its scores and its runs are not taken for those of the reward that it was before."""
    member = tmp_path / "member"
    shutil.copytree(scorer, member)
    noisy = card(tmp_path / "noisy", kind="noisy", reward="../member", how="invert")
    outer = card(tmp_path / "outer", kind="weighted", rewards=[{"reward": "../noisy", "weight": 1}])

    def keys() -> list[str]:
        loaded = load_reward(outer, ModelConfig())
        found = [reward_fingerprint(outer, ModelConfig(), loaded), reward_key(outer), reward_key(noisy)]
        return [*found, reward_key(str(scorer))]

    before = keys()
    assert keys() == before
    Scorer.load(str(scorer), new_head=True, seed=3).save(member)
    after = keys()
    assert [old != new for old, new in zip(before, after, strict=True)] == [True, True, True, False]


@pytest.mark.parametrize("use", [lambda source: load_reward(source, ModelConfig()), reward_key])
def test_a_reward_that_is_made_of_itself_is_one_line(use: Callable[[str], object], tmp_path: Path) -> None:
    outer = card(tmp_path / "outer", kind="weighted", rewards=[{"reward": "../inner", "weight": 1}])
    card(tmp_path / "inner", kind="noisy", reward="../outer", how="invert")
    with pytest.raises(ModelError, match="the reward is made of itself"):
        use(outer)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"kind": "weighted", "rewards": []}, "it has no rewards"),
        ({"kind": "weighted", "rewards": [{"weight": 1}]}, "KeyError 'reward'"),
        ({"kind": "noisy", "reward": "a", "how": "blur"}, "'blur' noise"),
        ({"kind": "noisy", "reward": "a", "how": "flip", "share": 2}, "a share of 2"),
        ({"kind": "noisy", "reward": "a", "how": "flip", "shares": 0.1}, "it has shares, which no noise has"),
        ({"kind": "noisy", "reward": "a"}, "TypeError"),
    ],
)
def test_a_card_that_is_wrong_is_one_line(said: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"reward\.json cannot be used") as told:
        load_reward(card(tmp_path / "reward", **said), ModelConfig())
    assert why in str(told.value)
    assert "\n" not in str(told.value)
