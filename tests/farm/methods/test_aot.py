"""AOT: TRL's numbers within one batch, and ranks over the whole step where TRL sorts a micro-batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, tensor
from torch.autograd import gradcheck

from farm.methods.aot import AOT, AOTConfig, Sides, aot_loss, partners, sides
from farm.models.tokens import Prompt
from farm.training.data import Data, DataError, PreferencePair
from farm.training.pair_method import RatedPairs
from farm.training.processes import Processes
from farm.training.run_models import LoadedModels
from tests.support.objectives import Case, Shared, cases, drawn, leaves, pairs, responses, step_gradient

ALONE = Processes()


def whole_step(own: Sides, config: AOTConfig) -> Tensor:
    """The loss of a step in one batch."""
    a, b = own.a.detach(), own.b.detach()
    return aot_loss(own, Sides(partners(a, b, ALONE), partners(b, a, ALONE)), config).mean()


@pytest.mark.parametrize("case", cases("pair", "aot") + cases("pair", "aot_unpaired"))
def test_loss_and_gradient_are_trls(case: Case) -> None:
    config = AOTConfig(
        beta=case.options["beta"],
        label_smoothing=case.options.get("label_smoothing", 0.0),
        unpaired=case.options["loss_type"] == "aot_unpaired",
    )
    chosen, rejected = leaves(case.inputs["chosen"]), leaves(case.inputs["rejected"])
    rated = RatedPairs(
        responses(chosen, case.inputs["ref_chosen"]), responses(rejected, case.inputs["ref_rejected"]), 1.0
    )
    loss = whole_step(sides(rated, config), config)
    assert loss.item() == pytest.approx(case.loss, rel=1e-9)
    grads = torch.autograd.grad(loss, [*chosen, *rejected])
    expected = [*case.gradients["chosen"], *case.gradients["rejected"]]
    for mine, theirs in zip(grads, expected, strict=True):
        assert mine.tolist() == pytest.approx(theirs, rel=1e-7, abs=1e-10)


def test_partners_have_the_same_rank_by_hand() -> None:
    values, others = tensor([3.0, -1.0, 2.0]), tensor([10.0, 30.0, 20.0])
    assert partners(values, others, ALONE).tolist() == [30, 10, 20]
    assert partners(tensor([1.0, 1.0]), tensor([5.0, 4.0]), ALONE).tolist() == [4, 5], "ties share them out"


@pytest.mark.parametrize("unpaired", [False, True])
def test_gradients_are_those_of_differences(unpaired: bool) -> None:
    """Of the loss itself: the terms hold back a half of their value, and none of their gradient."""
    config, values = AOTConfig(beta=0.3, label_smoothing=0.1, unpaired=unpaired), drawn()

    def loss(chosen: Tensor, rejected: Tensor) -> Tensor:
        own = sides(pairs(torch.stack([chosen, rejected, *values[2:]]), 1.0), config)
        margin = config.beta * (own.a.sort().values - own.b.sort().values)
        ways = torch.stack([margin.sigmoid(), (-margin).sigmoid()]).log()
        return -(0.9 * ways[0] + 0.1 * ways[1]).mean()

    inputs = [each.clone().requires_grad_() for each in values[:2]]
    assert gradcheck(loss, inputs)
    ours = whole_step(sides(pairs(torch.stack([*inputs, *values[2:]]), 1.0), config), config)
    assert ours.item() == pytest.approx(loss(*inputs).item())
    theirs = torch.autograd.grad(loss(*inputs), inputs)
    for mine, other in zip(torch.autograd.grad(ours, inputs), theirs, strict=True):
        assert mine.tolist() == pytest.approx(other.tolist())


@pytest.fixture(scope="module")
def shared(make_model: Callable[..., Any]) -> Any:
    return Shared(*(str(make_model(seed=seed, hidden=16, layers=1)) for seed in (0, 1)))


RECORDS = [
    PreferencePair(Prompt(f"say {i}"), "yes " * (1 + i % 4), f"no {'n' * i}", [1.0, 0.8, 0.9, 0.1][i % 4])
    for i in range(8)
]


@pytest.mark.parametrize("unpaired", [False, True])
def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(unpaired: bool, shared: Any) -> None:
    whole = step_gradient("aot", shared, RECORDS, 8, unpaired=unpaired)
    assert whole.norm() > 0
    for micro_batch in (2, 1):
        split = step_gradient("aot", shared, RECORDS, micro_batch, unpaired=unpaired)
        assert (split - whole).norm() < 1e-12 * whole.norm()


def test_only_sides_count_and_ties_are_left_out(model_dir: str, caplog: pytest.LogCaptureFixture) -> None:
    config = AOTConfig()
    ties = [PreferencePair(Prompt("q"), "yes", "no", 0.5)]
    method = AOT(config, Data(RECORDS + ties), LoadedModels(model_dir, config))
    [batch] = next(iter(method.feed.batches(0)))
    assert len(batch.referenced.pairs.preference) == 8
    assert "1 of 9 pairs are ties" in caplog.text
    with pytest.raises(DataError, match="nothing to learn"):
        AOT(config, Data(ties), LoadedModels(model_dir, config))
