"""HyPO: what its second term pulls at, that it is dpo without it, splits of a step, and resume."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import tensor

from db.errors import ConfigError
from farm.methods import load
from farm.methods.hypo import HyPOConfig, kl_surrogate
from farm.training.checkpoint import RunFolder
from farm.training.data import Data
from farm.training.loop import fit
from farm.training.run_models import LoadedModels
from tests.support.objectives import Shared, step_gradient
from tests.support.train_script import records

PAIRS: list[Any] = records("pairs", 8)
OPTIONS = {"batch_size": 4, "epochs": 2.0, "learning_rate": 3e-2, "log_every": 1, "max_new_tokens": 8}


def made(name: str, model: str, keep: Path | None = None, **options: Any) -> Any:
    method_class = load(name)
    known = OPTIONS if name == "hypo" else {k: v for k, v in OPTIONS.items() if k != "max_new_tokens"}
    config = method_class.Config(**(known | options))
    return method_class(config, Data(PAIRS), LoadedModels(model, config, keep=keep))


def losses(method: Any, folder: Path) -> list[float]:
    found: list[float] = []

    def log(step: int, metrics: Mapping[str, float]) -> None:
        found.append(metrics["loss"])

    fit(method, method.config, log, RunFolder(folder, method.config))
    return found


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_the_mean_gradient_over_all_draws_is_that_of_the_kl(draws: int) -> None:
    """Three responses: every way to draw, weighed by its probability, against autograd of KL(π ‖ π_ref)."""
    logits = tensor([0.3, -0.2, 0.9], dtype=torch.float64, requires_grad=True)
    reference = tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()
    logps = logits.log_softmax(-1)
    mean = torch.zeros((), dtype=torch.float64)
    for drawn in product(range(3), repeat=draws):
        rows = list(drawn)
        mean = (
            mean + logps[rows].sum().exp().detach() * kl_surrogate(logps[rows], reference[rows], draws).mean()
        )
    (found,) = torch.autograd.grad(mean, logits, retain_graph=True)
    (expected,) = torch.autograd.grad((logps.exp() * (logps - reference)).sum(), logits)
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-12)


def test_two_draws_by_hand() -> None:
    """Δ of 0.5 and −0.1: each minus the other is 0.6 and −0.6, times log π of −1 and −2."""
    logps, reference = tensor([[-1.0, -2.0], [-1.5, -1.9]], dtype=torch.float64)
    assert kl_surrogate(logps, reference, 2).tolist() == pytest.approx([-0.6, 1.2], abs=1e-12)
    assert kl_surrogate(logps, reference, 1).tolist() == pytest.approx([-0.5, 0.2], abs=1e-12)


def test_without_a_weight_it_is_dpo_and_draws_nothing(model_dir: str, tmp_path: Path) -> None:
    hybrid = made("hypo", model_dir, kl=0.0, beta=0.3)
    (batch,) = next(hybrid.feed.batches(0))
    assert batch.own is None
    assert losses(hybrid, tmp_path / "hypo") == losses(made("dpo", model_dir, beta=0.3), tmp_path / "dpo")


def test_draws_differ_by_step_and_answer_the_prompts_of_the_pairs(model_dir: str) -> None:
    method = made("hypo", model_dir, draws=3)
    (first,), (second,) = islice(method.feed.batches(0), 2)
    for batch in (first, second):
        assert len(batch.own.ids) == 12
        for i, (ids, mask) in enumerate(zip(batch.own.ids, batch.own.mask, strict=True)):
            pair = batch.pairs.pairs.chosen
            start = int(mask.int().argmax())
            assert torch.equal(ids[:start], pair.ids[i // 3][:start])
            assert bool(pair.mask[i // 3][start])
    (again,) = next(method.feed.batches(1))
    assert torch.equal(again.own.ids, second.own.ids)
    (other,) = method.with_draws(7, [first.pairs.pairs])
    assert [row.tolist() for row in other.own.ids] != [row.tolist() for row in first.own.ids]


def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(model_dir: str, make_model: Any) -> None:
    shared = Shared(model_dir, str(make_model(seed=5)))
    options = {"kl": 0.5, "draws": 2, "max_new_tokens": 6, "beta": 0.3}
    whole, *split = (step_gradient("hypo", shared, PAIRS, size, **options) for size in (8, 2, 1))
    plain = step_gradient("hypo", shared, PAIRS, 8, **(options | {"kl": 0.0}))
    assert (whole - plain).norm() > 1e-3 * plain.norm()
    for each in split:
        assert (each - whole).norm() < 1e-12 * whole.norm()


def test_resume_is_exact(model_dir: str, tmp_path: Path) -> None:
    options = {"kl": 0.1, "lora_rank": 2, "lora_dropout": 0.3}
    whole = made("hypo", model_dir, tmp_path / "one", **options)
    losses(whole, tmp_path / "whole")
    cut = made("hypo", model_dir, tmp_path / "two", save_every=2, **options)

    def stop(step: int, metrics: Mapping[str, float]) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(cut, cut.config, stop, RunFolder(tmp_path / "cut", cut.config))
    again = made("hypo", model_dir, tmp_path / "two", save_every=2, **options)
    assert len(losses(again, tmp_path / "cut")) == 2
    for key, value in whole.trained.state_dict().items():
        assert torch.equal(value, again.trained.state_dict()[key]), key


def test_a_temperature_of_0_is_refused() -> None:
    with pytest.raises(ConfigError, match="temperature must be above 0"):
        HyPOConfig(temperature=0.0)
