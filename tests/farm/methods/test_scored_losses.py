"""Losses on tokens of outputs with labels: the authors' numbers, gradients, what is kept, splits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, tensor
from torch.autograd import gradcheck

from db.errors import ConfigError
from farm.methods import load
from farm.methods.awr import AWR, AWRConfig, awr_loss
from farm.methods.conditional_training import ConditionalTraining, ConditionalTrainingConfig, marked
from farm.methods.f_sft import TANGENT, FSFTConfig, f_sft_loss, phi
from farm.methods.filtering import Filtering, FilteringConfig, kept
from farm.methods.rwr import RWR, RWRConfig, rwr_loss
from farm.methods.unlikelihood import Unlikelihood, UnlikelihoodConfig, unlikelihood_loss
from farm.models.ops import log_complement
from farm.models.tokens import Prompt
from farm.training.data import Data, DataError, Demonstration, JudgedOutput
from farm.training.run_models import LoadedModels
from tests.support.objectives import VECTORS, Shared, step_gradient

THEIRS = json.loads((VECTORS / "scored_objectives.json").read_text(encoding="utf-8"))["methods"]
LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor, Any], Tensor]] = {
    "unlikelihood": lambda logps, _, label, options: unlikelihood_loss(
        logps, label, UnlikelihoodConfig(**options)
    ),
    "rwr": lambda logps, _, label, options: rwr_loss(logps, label, RWRConfig(**options)),
    "awr": lambda logps, values, label, options: awr_loss(logps, values, label, AWRConfig(**options)),
}
DIVERGENCES: Any = ("total_variation", "pearson", "hellinger", "js")


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradients_are_the_authors(name: str) -> None:
    [case] = THEIRS[name]
    logits = tensor(case["logits"], dtype=torch.float64, requires_grad=True)
    values = tensor(case["values"], dtype=torch.float64, requires_grad=True)
    label = tensor(case["labels"], dtype=torch.float64)
    logps = logits.log_softmax(-1).gather(1, tensor(case["ids"])[:, None])[:, 0]
    loss = LOSSES[name](logps, values, label, case["options"]).mean()
    assert loss.item() == pytest.approx(case["loss"], rel=1e-12)
    found = torch.autograd.grad(loss, [logits, values], allow_unused=True)
    assert found[0] is not None
    for mine, theirs in zip(found[0].tolist(), case["gradients"]["logits"], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-9)
    if found[1] is not None:
        assert found[1].tolist() == pytest.approx(case["gradients"]["values"], rel=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_differences(name: str) -> None:
    logps = tensor([-0.2, -1.0, -4.0], dtype=torch.float64, requires_grad=True)
    values, label = tensor([0.1, 0.9, 0.4]), tensor([1.0, 0.0, 0.6])
    assert gradcheck(lambda x: LOSSES[name](x, values, label, {}), [logps])


def test_the_complement_is_exact_at_both_ends_and_a_sure_token_stays_finite() -> None:
    logps = tensor([-1e-12, -math.log(2), -40.0], dtype=torch.float64, requires_grad=True)
    found = log_complement(logps)
    assert found.tolist() == pytest.approx([math.log(1e-12), -math.log(2), -math.exp(-40)])
    assert gradcheck(log_complement, [tensor([-0.1, -5.0], dtype=torch.float64, requires_grad=True)])
    sure = torch.zeros(1, requires_grad=True)
    loss = unlikelihood_loss(sure, tensor([0.0]), UnlikelihoodConfig())
    assert loss.item() == pytest.approx(-math.log(1e-20), rel=1e-5)
    loss.sum().backward()
    assert sure.grad is not None
    assert sure.grad.isfinite().all()


RECORDS = [
    JudgedOutput(Prompt(f"say {i}"), "yes " * (1 + i % 4) + "n" * i, [1.0, 0.0, 0.8, 0.5][i % 4])
    for i in range(8)
]


def test_filtering_keeps_what_is_above_the_threshold_and_says_where_nothing_is(model_dir: str) -> None:
    found = kept(RECORDS, FilteringConfig())
    assert found == [Demonstration(r.prompt, r.output) for r in RECORDS if r.label in (1.0, 0.8)]
    assert len(kept(RECORDS, FilteringConfig(threshold=0.9))) == 2
    config = FilteringConfig(threshold=0.99)
    with pytest.raises(DataError, match="nothing to learn from"):
        Filtering(config, Data([RECORDS[1], RECORDS[3]]), LoadedModels(model_dir, config))
    with pytest.raises(DataError, match="a label is 2"):
        kept([JudgedOutput(Prompt("q"), "a", 2.0)], FilteringConfig())


def test_conditional_training_marks_good_bad_and_a_share_not_at_all() -> None:
    many = [JudgedOutput(Prompt(str(i)), "a", i % 2) for i in range(2000)]
    found = [each.control for each in marked(many, ConditionalTrainingConfig(unmarked=0.1))]
    assert 160 < found.count("") < 240
    assert {c for c in found[::2] if c} == {"<|quality_0|>"}
    assert {c for c in found[1::2] if c} == {"<|quality_1|>"}
    assert found == [each.control for each in marked(many, ConditionalTrainingConfig(unmarked=0.1))]
    plain = [each.control for each in marked(RECORDS, ConditionalTrainingConfig(unmarked=0.0))]
    assert plain == ["<|quality_1|>" if r.label > 0.5 else "<|quality_0|>" for r in RECORDS]
    with pytest.raises(ConfigError, match="lora_rank must be 0"):
        ConditionalTrainingConfig(lora_rank=2)


def test_conditional_training_without_a_good_output_is_refused(model_dir: str) -> None:
    config = ConditionalTrainingConfig(unmarked=0.0)
    with pytest.raises(DataError, match="no output is under the token that is asked for"):
        ConditionalTraining(config, Data([RECORDS[1], RECORDS[3]]), LoadedModels(model_dir, config))


def test_weights_grow_with_the_label_and_are_cut() -> None:
    logps = tensor([-1.0, -1.0])
    assert rwr_loss(logps, tensor([1.0, 0.0]), RWRConfig(beta=0.5)).tolist() == pytest.approx(
        [math.e**2, 1.0]
    )
    assert rwr_loss(logps, tensor([1.0, 0.0]), RWRConfig(beta=0.01)).tolist() == pytest.approx([1000.0, 1.0])


def test_awr_trains_policy_and_value_and_at_a_value_of_0_it_is_rwr(model_dir: str) -> None:
    config = AWRConfig(batch_size=8)
    method = AWR(config, Data(RECORDS), LoadedModels(model_dir, config))
    [batch] = next(iter(method.feed.batches(0)))
    assert batch.weight == batch.tokens.mask.sum()
    found = method.loss(batch)
    label, mask = batch.token_label, batch.tokens.mask
    with torch.no_grad():
        weighted = rwr_loss(method.policy(batch.tokens), label, RWRConfig())[mask].mean()
    squares = label.square().expand_as(mask)[mask].mean()
    assert found.loss.item() == pytest.approx((0.5 * weighted + 0.5 * squares).item(), rel=1e-5)
    found.loss.backward()
    for part in method.parts().values():
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_phi_by_hand_and_at_its_ends() -> None:
    """At x = 1: 1, 3/4, 1/2, log(2 − 1/e). At 0 all are 0 with slope 1."""
    one, zero = tensor(1.0, dtype=torch.float64), torch.zeros((), dtype=torch.float64, requires_grad=True)
    expected = [1.0, 0.75, 0.5, math.log(2 - math.exp(-1))]
    assert [phi(one, each).item() for each in DIVERGENCES] == pytest.approx(expected)
    for each in DIVERGENCES:
        value = phi(zero, each)
        [slope] = torch.autograd.grad(value, zero)
        assert (value.item(), slope.item()) == pytest.approx((0.0, 1.0))
        far = tensor([TANGENT - 1e-9, TANGENT, -30.0, 40.0], dtype=torch.float64, requires_grad=True)
        values = phi(far, each)
        assert values.isfinite().all()
        assert values[0].item() == pytest.approx(values[1].item()), "no jump"
        [slopes] = torch.autograd.grad(values.sum(), far)
        assert slopes[0].item() == pytest.approx(slopes[1].item(), rel=1e-6), "no kink"
        assert slopes[2] > slopes[1] - 1e-9, "the pull does not weaken below"


def test_f_sft_is_sft_by_response_at_the_reference_and_lets_go_beyond() -> None:
    ratios = tensor([0.0, 10.0, 40.0, 60.0], dtype=torch.float64, requires_grad=True)
    pulls = {}
    for each in DIVERGENCES:
        loss = f_sft_loss(ratios, FSFTConfig(divergence=each, beta=0.05))
        [gradient] = torch.autograd.grad(loss.sum(), ratios)
        pulls[each] = (-gradient).tolist()
    assert pulls["total_variation"] == pytest.approx([1, 1, 1, 1])
    assert pulls["pearson"] == pytest.approx([1, 0.75, 0, -0.5])
    assert pulls["hellinger"] == pytest.approx([1, 1 / 1.5**2, 1 / 9, 1 / 16])
    near = tensor([-30.0, -5.0, 0.3], dtype=torch.float64, requires_grad=True)
    for each in DIVERGENCES:
        assert gradcheck(lambda x, each=each: f_sft_loss(x, FSFTConfig(divergence=each)), [near])


@pytest.fixture(scope="module")
def shared(make_model: Callable[..., Any]) -> Any:
    return Shared(*(str(make_model(seed=seed, hidden=16, layers=1)) for seed in (0, 1)))


@pytest.mark.parametrize("name", ["unlikelihood", "rwr", "awr", "f_sft"])
def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(name: str, shared: Any) -> None:
    records: Any = RECORDS
    if load(name).data_kind == "demonstrations":
        records = [Demonstration(r.prompt, r.output) for r in RECORDS]
    whole = step_gradient(name, shared, records, 8)
    assert whole.norm() > 0
    for micro_batch in (2, 1):
        split = step_gradient(name, shared, records, micro_batch)
        assert (split - whole).norm() < 1e-12 * whole.norm()


def test_trainers_ask_for_judged_outputs() -> None:
    assert {each.data_kind for each in (RWR, Unlikelihood, Filtering, AWR)} == {"judged"}
