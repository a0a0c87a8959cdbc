"""On a GPU (`pytest -m gpu`): every method in bfloat16, and the sampler. Skipped where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from farm.config import Decoding, ModelConfig
from farm.models.generation import sample
from farm.models.policy import Policy
from tests.support.train_script import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
PROMPTS = [[10, 11, 12], [20], [30, 31, 32, 33]]


@pytest.mark.parametrize("name", ["sft", "reward_model", "dpo", "ipo", "rloo", "grpo", "ppo", "quark"])
def test_each_method_trains_in_bfloat16(name: str, tmp_path: Path, model_dir: str) -> None:
    own = {"max_new_tokens": 8, "minibatches": 1} if name in ("rloo", "grpo", "ppo", "quark") else {}
    train(name, model_dir, tmp_path, {"precision": "bf16", "max_steps": 3, **own})
    [checkpoint] = (tmp_path / "run").glob("step-*")
    weights = torch.load(checkpoint / "training.pt", weights_only=True)["trained"]
    assert all(tensor.isfinite().all() for tensor in weights.values() if tensor.is_floating_point())


def test_the_sampler_draws_what_it_draws_on_a_cpu(make_model: Callable[..., Path]) -> None:
    source = str(make_model(end_bias=2.0))
    greedy = Decoding(temperature=0, max_new_tokens=24)
    drawn = [
        sample(Policy.load(source, ModelConfig(device=device)), PROMPTS, greedy, seed=0)
        for device in ("cpu", "cuda")
    ]
    assert [one.ids for one in drawn[0]] == [one.ids for one in drawn[1]]


def test_new_shapes_cost_no_planning(make_model: Callable[..., Path]) -> None:
    Policy.load(str(make_model()))
    assert not torch.backends.cuda.cudnn_sdp_enabled()
