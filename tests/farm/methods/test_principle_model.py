"""Yes or no about a principle: the loss, balanced accuracy, and principles that are chosen at use."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import tensor

from db.errors import ConfigError
from farm.config import ModelConfig
from farm.methods.principle_model import (
    PrincipleModel,
    PrincipleModelConfig,
    balanced_accuracy,
    principle_loss,
)
from farm.models.hub import ModelError
from farm.models.reward_cards import REWARD_FILE
from farm.models.rewards import load_reward
from farm.models.tokens import Prompt
from farm.training.checkpoint import RunFolder
from farm.training.data import AttributedOutput, Data, DataError
from farm.training.loop import fit
from farm.training.run_models import LoadedModels
from tests.support.objectives import Shared, step_gradient
from tests.support.on_policy import NoCheckpoints


def record(i: int) -> AttributedOutput:
    """Of three letters the first says whether the output is red, and the last whether it is round."""
    text = ("r" if i % 2 else "x") + "-" + ("o" if i // 2 % 2 else "z")
    return AttributedOutput(Prompt(f"q{i % 5}"), text, {"red": float(i % 2), "round": float(i // 2 % 2)})


def test_the_score_is_the_logit_of_a_softmax_over_yes_and_no() -> None:
    """Logits 2 of yes and 0.5 of no: −log softmax is the loss at their difference, 1.5."""
    both = tensor([2.0, 0.5]).log_softmax(-1)
    score = tensor([1.5])
    assert principle_loss(score, 1.0).item() == pytest.approx(-both[0].item())
    assert principle_loss(score, 0.0).item() == pytest.approx(-both[1].item())
    assert principle_loss(score, 0.25).item() == pytest.approx(-0.25 * both[0].item() - 0.75 * both[1].item())


def test_a_model_that_always_says_yes_has_a_half() -> None:
    labels = tensor([1.0, 1.0, 1.0, 0.0, 0.5])
    assert balanced_accuracy(tensor([3.0, 1.0, 2.0, 4.0, 9.0]), labels) == 0.5
    assert balanced_accuracy(tensor([3.0, 1.0, -2.0, -4.0, 9.0]), labels) == pytest.approx((2 / 3 + 1) / 2)
    assert math.isnan(balanced_accuracy(tensor([1.0]), tensor([1.0])))


def test_one_batch_of_eight_is_four_of_two(make_model: Any) -> None:
    shared = Shared(*(str(make_model(seed=seed, hidden=16, layers=1)) for seed in (0, 1)))
    records = [AttributedOutput(Prompt(f"q{i}"), "yes " * i, {"long": i / 8}) for i in range(8)]
    whole = step_gradient("principle_model", shared, records, 8)
    for micro_batch in (2, 1):
        split = step_gradient("principle_model", shared, records, micro_batch)
        assert (split - whole).norm() < 1e-12 * whole.norm()


def test_the_principle_is_chosen_at_use(model_dir: str, tmp_path: Path) -> None:
    """Learnt from both, the reward follows the principles that reward.json names, and their signs."""
    config = PrincipleModelConfig(epochs=4.0, batch_size=32, learning_rate=5e-3, weights=("red=1",))
    data = Data([record(i) for i in range(200)], [record(i) for i in range(12)])
    method = PrincipleModel(config, data, LoadedModels(model_dir, config))
    fit(method, config, lambda *_: None, cast(RunFolder, NoCheckpoints()))
    assert method.summary() == {"held_out/balanced/red": 1.0, "held_out/balanced/round": 1.0}
    method.product.save(tmp_path)
    card, texts = tmp_path / REWARD_FILE, ["r-z", "x-z", "r-o", "x-o"]

    def liked(weights: dict[str, float]) -> list[bool]:
        told = json.loads(card.read_text())
        card.write_text(json.dumps(told | {"weights": weights}))
        scores = load_reward(str(tmp_path), ModelConfig())([Prompt("new")] * 4, texts)
        return (scores > scores.median()).tolist()

    assert json.loads(card.read_text())["weights"] == {"red": 1.0}
    assert liked({"red": 1.0}) == [True, False, True, False]
    assert liked({"round": 1.0}) == [False, False, True, True]
    assert liked({"round": -1.0}) == [True, True, False, False]
    broken: list[object] = [{}, {"red": "much"}, []]
    for wrong in broken:
        card.write_text(json.dumps({"kind": "principle", "weights": wrong, "wording": "{principle}"}))
        with pytest.raises(ModelError, match="cannot be used"):
            load_reward(str(tmp_path), ModelConfig())


def test_what_it_refuses(model_dir: str) -> None:
    with pytest.raises(ConfigError, match="wording has no"):
        PrincipleModelConfig(wording="so")
    config = PrincipleModelConfig()
    wrong = [AttributedOutput(Prompt("q"), "a", {"red": 4.0})]
    with pytest.raises(DataError, match=r"a rating of 'red' is 4.0, expected a number in \[0, 1\]"):
        PrincipleModel(config, Data(wrong), LoadedModels(model_dir, config))


def test_the_principle_stands_between_prompt_and_response(model_dir: str) -> None:
    config = PrincipleModelConfig(wording="<{principle}>")
    method = PrincipleModel(config, Data([record(1)]), LoadedModels(model_dir, config))
    rows = method.rows([record(1)])
    codec = method.scorer.codec
    assert codec.tokenizer.decode(rows[0].row.prompt).endswith("<red>")
    assert codec.text(rows[0].row.response) == "r-z"
    assert torch.equal(method.batch(rows).label, tensor([1.0, 0.0]))
