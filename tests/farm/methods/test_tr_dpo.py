"""TR-DPO: when and how the reference moves, what a checkpoint holds, and dpo until the first update."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from db.errors import ConfigError
from farm.methods import load
from farm.methods.tr_dpo import TRDPO, TRDPOConfig, WithReference
from farm.models.policy import Policy
from farm.models.tokens import Prompt
from farm.training.checkpoint import RunFolder
from farm.training.data import Data, PreferencePair
from farm.training.loop import fit
from farm.training.run_models import LoadedModels
from tests.support.objectives import step_gradient
from tests.support.train_script import records

PAIRS: list[Any] = records("pairs", 16)
OPTIONS = {"batch_size": 8, "epochs": 2.0, "learning_rate": 1e-3, "log_every": 1, "micro_batch": 4}


def losses(name: str, model: str, folder: Path, **options: Any) -> list[float]:
    """The loss of every step of a run on 16 pairs."""
    method_class = load(name)
    config = method_class.Config(**(OPTIONS | options))
    method = method_class(config, Data(PAIRS), LoadedModels(model, config))
    found: list[float] = []

    def log(step: int, metrics: Mapping[str, float]) -> None:
        found.append(metrics["loss"])

    fit(method, config, log, RunFolder(folder, config))
    return found


def test_a_soft_update_by_hand_and_tied_weights_move_once(tmp_path: Path, make_model: Any) -> None:
    """Weights of 1 and a reference of 3 at α 0.6: 0.6 · 1 + 0.4 · 3 = 1.8."""
    policy, moving = (Policy.load(str(make_model(seed=0, hidden=16, layers=1)), seed=0) for _ in range(2))
    for model in (policy, moving):
        model.model.get_output_embeddings().weight = model.model.get_input_embeddings().weight
    both = WithReference(policy, moving)
    assert {name.split(".")[0] for name, _ in both.named_parameters()} == {"policy"}
    with torch.no_grad():
        for models, value in ((policy, 1.0), (moving, 3.0)):
            for weight in models.parameters():
                weight.fill_(value)
    both.update(0.6)
    assert all(torch.allclose(weight, torch.tensor(1.8)) for weight in moving.parameters())
    both.update(1.0)
    assert all(torch.equal(weight, torch.ones_like(weight)) for weight in moving.parameters())
    state = {name: torch.full_like(value, 5.0) for name, value in both.state_dict().items()}
    both.load_state_dict(state)
    assert all((weight == 5).all() for weight in moving.parameters()), "a resumed run has the reference too"


def test_it_is_dpo_until_the_first_update(model_dir: str, tmp_path: Path) -> None:
    plain = losses("dpo", model_dir, tmp_path / "dpo", beta=0.5)
    moved = losses("tr_dpo", model_dir, tmp_path / "tr", beta=0.5, sync_every=2)
    assert len(plain) == 4
    assert moved[:2] == pytest.approx(plain[:2], rel=1e-6)
    assert moved[2] != pytest.approx(plain[2], rel=1e-4)


def test_a_hard_update_before_each_step_keeps_the_loss_of_the_reference(
    model_dir: str, tmp_path: Path
) -> None:
    found = losses("tr_dpo", model_dir, tmp_path / "run", mixing=1.0, sync_every=1)
    assert found == pytest.approx([math.log(2)] * 4, rel=1e-5)


def test_a_run_without_an_update_says_so_and_divided_weights_are_refused(
    model_dir: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = TRDPOConfig()
    TRDPO(config, Data(PAIRS[:8]), LoadedModels(model_dir, config))
    assert "the run has 2 steps and sync_every is 512: the reference never moves" in caplog.text
    with pytest.raises(ConfigError, match="distribute must be ddp"):
        TRDPOConfig(distribute="fsdp")


class Twice:
    """A policy and a reference of other weights, in float64; the same ones at each call."""

    def __init__(self, model: str, other: str) -> None:
        self.models = [Policy.load(each, seed=0).double() for each in (model, other)]
        self.calls = 0

    def policy(self) -> Policy:
        self.calls += 1
        return self.models[(self.calls - 1) % 2]


def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(make_model: Callable[..., Any]) -> None:
    models: Any = Twice(*(str(make_model(seed=seed, hidden=16, layers=1)) for seed in (0, 1)))
    pairs = [PreferencePair(Prompt(f"say {i}"), "yes " * (1 + i % 4), f"no {'n' * i}", 1.0) for i in range(8)]

    def gradient(micro_batch: int) -> torch.Tensor:
        return step_gradient("tr_dpo", models, pairs, micro_batch, sync_every=1)

    whole = gradient(8)
    assert whole.norm() > 0
    for micro_batch in (2, 1):
        assert (gradient(micro_batch) - whole).norm() < 1e-12 * whole.norm()


def test_lora_moves_the_adapters_alone(model_dir: str) -> None:
    config = TRDPOConfig(lora_rank=2, sync_every=1)
    method = TRDPO(config, Data(PAIRS[:8]), LoadedModels(model_dir, config))
    names = [name for name, _ in method.both.named_buffers(recurse=False)]
    assert names
    assert all("lora" in name for name in names)
