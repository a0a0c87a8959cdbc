"""Regression on ratings: the loss by hand, missing ratings, scales, and the reward that comes of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import tensor

from farm.config import ModelConfig
from farm.methods.reward_regression import (
    RewardRegression,
    RewardRegressionConfig,
    attribute,
    regression_loss,
    weights_of,
)
from farm.models.hub import ModelError
from farm.models.reward_cards import REWARD_FILE
from farm.models.rewards import load_reward, value_source
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt
from farm.training.data import AttributedOutput, Data, DataError
from farm.training.run_models import LoadedModels
from tests.support.command_line import refused, told
from tests.support.objectives import Shared, step_gradient

RECORDS = [
    AttributedOutput(
        Prompt(f"say {i}"),
        "yes " * (1 + i % 4) + "n" * i,
        {"long": float(i)} | ({"good": 4.0 + i % 3} if i % 2 else {}),
    )
    for i in range(8)
]


def test_the_loss_is_a_mean_over_the_ratings_that_were_given() -> None:
    """Errors ½, 1, ½ and one missing: (¼ + 1 + ¼) / 3 = ½."""
    outputs = tensor([[0.5, 1.0], [0.0, 2.0]], requires_grad=True)
    loss = regression_loss(outputs, tensor([[0.0, 0.0], [0.5, math.nan]]))
    assert loss.item() == pytest.approx(0.5)
    [gradient] = torch.autograd.grad(loss, outputs)
    assert gradient.tolist() == [pytest.approx([1 / 3, 2 / 3]), pytest.approx([-1 / 3, 0.0])]


def test_scales_and_weights_by_hand() -> None:
    assert attribute("a", [1.0, 2.0, 3.0], 0.5) == ("a", 2.0, 1.0, 0.5)
    with pytest.raises(DataError, match="all 2 ratings of 'a'"):
        attribute("a", [1.0, 1.0], 0.5)
    assert weights_of((), ["a", "b"]) == {"a": 0.5, "b": 0.5}
    assert weights_of(("b=-0.2",), ["a", "b"]) == {"a": 0.0, "b": -0.2}
    for wrong, why in (("c=1", r"no attribute 'c' was rated \(there is a, b\)"), ("a", "no NAME=NUMBER")):
        with pytest.raises(DataError, match=why):
            weights_of((wrong,), ["a", "b"])


def test_one_batch_of_eight_is_four_of_two_whatever_is_missing(make_model: Any) -> None:
    shared = Shared(*(str(make_model(seed=seed, hidden=16, layers=1)) for seed in (0, 1)))
    whole = step_gradient("reward_regression", shared, RECORDS, 8)
    assert whole.norm() > 0
    for micro_batch in (2, 1):
        split = step_gradient("reward_regression", shared, RECORDS, micro_batch)
        assert (split - whole).norm() < 1e-12 * whole.norm()


def test_its_folder_scores_by_the_weighted_sum(model_dir: str, tmp_path: Path) -> None:
    config = RewardRegressionConfig(weights=("long=2", "good=-1"))
    method = RewardRegression(config, Data(RECORDS), LoadedModels(model_dir, config))
    assert [each.name for each in method.attributes] == ["good", "long"]
    method.product.save(tmp_path)
    batch = method.batch(method.rows(RECORDS))
    said = method.scorer.outputs(batch.tokens).detach()
    assert torch.isnan(batch.rating[:, 0]).tolist() == [True, False] * 4, "good was rated every other time"
    asked = [record.prompt for record in RECORDS]
    found = load_reward(str(tmp_path), ModelConfig())(asked, [record.output for record in RECORDS])
    assert found.tolist() == pytest.approx((2 * said[:, 1] - said[:, 0]).tolist(), abs=1e-5)
    assert value_source(str(tmp_path)) is None
    with pytest.raises(ModelError):
        Scorer.load(str(tmp_path))
    (tmp_path / REWARD_FILE).write_text('{"kind": "attributes", "attributes": [{"name": "a"}]}')
    with pytest.raises(ModelError, match="cannot be used"):
        load_reward(str(tmp_path), ModelConfig())


def test_ratings_of_two_attributes_become_a_reward_and_a_judge(tmp_path: Path, model_dir: str) -> None:
    """Answers with an a are kind and short ones are brief. Every third answer was not rated for kindness."""
    ledger = tmp_path / "farm.db"
    rows = []
    for i in range(240):
        text = ("a" if i % 2 else "b") * (1 + i % 5)
        asked = {"instruction": f"q{i}", "output": text, "by": "ann"}
        rows.append(asked | {"what": "brief", "how": 1 - (i % 5) / 4})
        if i % 3:
            rows.append(asked | {"what": "kind", "how": float(i % 2)})
    table = tmp_path / "ratings.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    places = {
        "prompt": "instruction",
        "output": "output",
        "annotator": "by",
        "subset": "what",
        "label": "how",
    }
    maps = [part for place, column in places.items() for part in ("--map", f"{place}={column}")]
    assert told(ledger, "import", "table", table, *maps, "--kind", "human")["kept"] == 400
    told(ledger, "snapshot", "rated", "--unpaired")
    trained = ("--model", model_dir, "--snapshot", "rated", "--held-out", "0.2")
    options = ("--epochs", "6", "--learning_rate", "3e-3", "--weights", "kind=1,brief=0.25")
    report = told(ledger, "train", "reward_regression", *trained, *options, "--out", tmp_path / "run")
    assert report["metrics"]["held_out/r2/kind"] > 0.8
    assert report["metrics"]["held_out/r2/brief"] > 0.5
    folder = f"{report['checkpoint']}/model"
    scores = load_reward(folder, ModelConfig())([Prompt("new")] * 4, ["a", "aaaa", "b", "bbbb"])
    assert scores.argsort(descending=True).tolist() == [0, 1, 2, 3]
    short = ("--max_new_tokens", "4", "--batch_size", "4", "--max_steps", "1")
    with_reward = ("--model", model_dir, "--reward", folder, "--out", tmp_path / "other")
    assert "learns from judged pairs" not in refused(ledger, "train", "rloo", *with_reward, *short)
    assert "no attribute 'rude'" in refused(
        ledger, "train", "reward_regression", *trained, "--weights", "rude=1", "--out", tmp_path / "no"
    )
