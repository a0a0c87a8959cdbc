"""Losses on single outputs: TRL's numbers, gradients, labels, the number of a step, splits of a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, tensor
from torch.autograd import gradcheck

from farm.methods import METHODS, load
from farm.methods.apo_zero_unpaired import APOZeroUnpaired
from farm.methods.bco import BCO, BCOConfig, class_mean
from farm.methods.kto import KTO, KTOConfig, neighbours, reference_point
from farm.models.codec import Row
from farm.models.ops import alone
from farm.models.tokens import Prompt
from farm.training.data import Data, DataError, JudgedOutput
from farm.training.judged_method import JudgedTrainer, RatedOutputs
from farm.training.pair_method import RatedResponses
from farm.training.run_models import LoadedModels
from tests.support.objectives import Case, Shared, cases, leaves, responses, step_gradient

JUDGED = [name for name in METHODS if isinstance(load(name), JudgedTrainer)]
NAMES: dict[str, JudgedTrainer[Any]] = {"kto": KTO, "apo_zero_unpaired": APOZeroUnpaired, "bco": BCO}


def found(trainer: JudgedTrainer[Any], case: Case, shift: float, **options: Any) -> tuple[float, list[Any]]:
    """Loss and gradients by token of a case's answers."""
    rows = leaves(case.inputs["answers"])
    label = tensor(case.inputs["desirable"], dtype=torch.float64)
    rated = RatedOutputs(responses(rows, case.inputs["reference"]), label, shift)
    loss = trainer.loss(rated, trainer.Config(**options)).mean()
    return loss.item(), [grad.tolist() for grad in torch.autograd.grad(loss, rows)]


def holds(mine: tuple[float, list[Any]], loss: float, gradients: Any, rel: float) -> None:
    assert mine[0] == pytest.approx(loss, rel=rel)
    for one, other in zip(mine[1], gradients["answers"], strict=True):
        assert one == pytest.approx(other, rel=max(rel, 1e-6), abs=1e-9)


@pytest.mark.parametrize("case", cases("unpaired", "kto") + cases("unpaired", "apo_zero_unpaired"))
def test_kto_and_apo_zero_are_trls(case: Case) -> None:
    given = case.options
    options = {
        "beta": given["beta"],
        "good_weight": given["desirable_weight"],
        "bad_weight": given["undesirable_weight"],
    }
    mine = found(NAMES[given["loss_type"]], case, given["kl"], **options)
    holds(mine, case.loss, case.gradients, 1e-9)


@pytest.mark.parametrize("name", ["mismatched", "mismatched_negative"])
def test_the_reference_point_is_trls(name: str) -> None:
    """Its mean log-ratio over a step, whatever the batches, and clamped once after the mean."""
    [case] = [each for each in cases("unpaired", "kto") if each.options["mismatched"] == name][:1]
    logps = tensor(case.inputs[name], dtype=torch.float64)
    reference = tensor(case.inputs["mismatched_reference"], dtype=torch.float64)

    class Batch:
        def __init__(self, others: slice) -> None:
            self.others = others

    def rate(rows: Any) -> RatedResponses:
        return RatedResponses(logps[rows], reference[rows], torch.ones(len(logps[rows])))

    for split in ([slice(0, 6)], [slice(0, 1), slice(1, 6)]):
        step: Any = [Batch(rows) for rows in split]
        point = reference_point(step, rate, KTOConfig(), alone)
        assert point.item() == pytest.approx(case.options["kl"], rel=1e-6)


@pytest.mark.parametrize("case", [c for c in cases("unpaired", "bco") if not c.options["udm"]])
def test_bco_is_trls_at_trls_shift_and_the_papers_at_its_own(case: Case) -> None:
    beta = case.options["beta"]
    holds(found(BCO, case, case.options["delta"], beta=beta), case.loss, case.gradients, 1e-6)
    if case.paper:
        ratios = responses(leaves(case.inputs["answers"]), case.inputs["reference"]).log_ratio.detach()
        label = tensor(case.inputs["desirable"], dtype=torch.float64)
        shift = class_mean(beta * ratios, label, alone).item()
        mine = found(BCO, case, shift, beta=beta)
        holds(mine, case.paper["loss"], case.paper["gradients"], 1e-6)
        assert mine[0] != pytest.approx(case.loss, rel=1e-5)


def test_bcos_shift_by_hand() -> None:
    """Good 1 and 3, bad −2: ½ · 2 + ½ · −2 = 0. Half good 1 and −2: −½ in both. One class: its mean."""
    assert class_mean(tensor([1.0, 3.0, -2.0]), tensor([1.0, 1.0, 0.0]), alone).item() == 0
    assert class_mean(tensor([1.0, -2.0]), tensor([0.5, 0.5]), alone).item() == -0.5
    assert class_mean(tensor([1.0, 3.0]), tensor([1.0, 1.0]), alone).item() == 2


def outputs(values: Tensor, label: float, shift: float = 0.4) -> RatedOutputs:
    return RatedOutputs(RatedResponses(values, tensor([-3.0, -2.0, -9.0]), torch.ones(3)), label, shift)


@pytest.mark.parametrize("name", JUDGED)
def test_gradients_and_soft_labels(name: str) -> None:
    trainer: Any = load(name)
    values = tensor([-1.0, -4.0, -20.0], dtype=torch.float64)

    def loss(logps: Tensor, label: float = 0.7) -> Tensor:
        return trainer.loss(outputs(logps, label), trainer.Config(beta=0.3))  # type: ignore[no-any-return]

    assert gradcheck(loss, [values.requires_grad_()])
    mixed = 0.7 * loss(values, 1.0) + 0.3 * loss(values, 0.0)
    assert loss(values).tolist() == pytest.approx(mixed.tolist()), "the mean over votes"
    [up], [down] = (torch.autograd.grad(loss(values, label).sum(), values) for label in (1.0, 0.0))
    assert (up < 0).all(), "a good output becomes more likely"
    assert (down > 0).all(), "a bad one less"


def test_neighbours_are_outputs_to_another_prompt_in_a_circle() -> None:
    def row(prompt: int, response: list[int]) -> Row:
        return Row([prompt], response)

    rows = [row(1, [11]), row(1, [12]), row(2, [21, 22, 23]), row(3, [31])]
    found = neighbours(rows, rows, limit=3)
    assert found == [row(1, [21, 22]), row(1, [21, 22]), row(2, [31]), row(3, [11])]
    again = [row(2, [21, 22, 23]), row(2, [24])]
    assert neighbours(again, rows, limit=9) == [row(2, [31]), row(2, [31])], "the one output goes round"
    held_out = neighbours([row(9, [91])], rows, limit=9)[0]
    assert held_out.prompt == [9]
    assert held_out.response in ([11], [21, 22, 23], [31])
    with pytest.raises(DataError, match="there is but one prompt"):
        neighbours(rows[:2], rows[:2], limit=9)


RECORDS = [
    JudgedOutput(Prompt(f"say {i // 2}"), "yes " * (1 + i % 4) + "n" * i, [1.0, 0.0, 0.8, 0.2][i % 4])
    for i in range(8)
]


@pytest.fixture(scope="module")
def shared(make_model: Callable[..., Any]) -> Any:
    return Shared(*(str(make_model(seed=seed, hidden=16, layers=1)) for seed in (0, 1)))


@pytest.mark.parametrize("name", JUDGED)
def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(name: str, shared: Any) -> None:
    whole = step_gradient(name, shared, RECORDS, 8, beta=0.3)
    assert whole.norm() > 0
    for micro_batch in (2, 1):
        split = step_gradient(name, shared, RECORDS, micro_batch, beta=0.3)
        assert (split - whole).norm() < 1e-12 * whole.norm()


def test_held_out_outputs_share_one_number_as_a_step_does(model_dir: str, make_model: Any) -> None:
    other = str(make_model(seed=1))
    for name in ("kto", "bco"):
        trainer, records = NAMES[name], RECORDS
        shifts = set()
        for micro_batch in (8, 3):
            config = trainer.Config(micro_batch=micro_batch)
            method = trainer(config, Data(RECORDS, records), LoadedModels(model_dir, config, reference=other))
            batches = list(method.feed.held_out())
            assert len({float(batch.shift) for batch in batches}) == 1
            shifts.add(round(float(batches[0].shift), 4))
        assert len(shifts) == 1


@pytest.mark.parametrize("name", JUDGED)
def test_outputs_of_one_side_are_refused(name: str, shared: Any) -> None:
    for labels, missing in ([1.0, 0.5], "bad"), ([0.0, 0.5], "good"):
        records = [JudgedOutput(Prompt(f"say {i}"), "yes", label) for i, label in enumerate(labels)]
        with pytest.raises(DataError, match=f"none of the 2 outputs is {missing}.*filtering"):
            step_gradient(name, shared, records, 2)


def test_bco_and_kto_differ_from_apo_zero_by_their_number_alone() -> None:
    values = tensor([-1.0, -4.0, -20.0])
    kto, zero = KTOConfig(), APOZeroUnpaired.Config()
    at_zero = KTO.loss(outputs(values, 1.0, 0.0), kto)
    assert torch.equal(at_zero, APOZeroUnpaired.loss(outputs(values, 1.0), zero))
    assert not torch.equal(KTO.loss(outputs(values, 1.0, 0.5), kto), at_zero)
    config = BCOConfig(beta=1.0)
    shifted, moved = BCO.loss(outputs(values, 1.0, 0.5), config), outputs(values - 0.5, 1.0, 0.0)
    assert shifted.tolist() == pytest.approx(BCO.loss(moved, config).tolist())
