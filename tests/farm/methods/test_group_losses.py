"""Losses on groups: values by hand, all orders of a ranking, identities, gradients, splits of a step."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, permutations
from typing import Any

import pytest
import torch
from torch import Tensor, tensor
from torch.autograd import gradcheck

from farm.methods import METHODS, load
from farm.methods.dpo import DPO
from farm.methods.exo import EXO
from farm.methods.exo_list import EXOList
from farm.methods.infonca import InfoNCA
from farm.methods.lipo import LiPO, lambda_weights
from farm.methods.nca import NCA
from farm.methods.nca_list import NCAList
from farm.methods.pl_dpo import PLDPO, PLDPOConfig, ranking_loss
from farm.models.tokens import Prompt
from farm.training.data import DataError, OutputGroup
from farm.training.group_method import GroupTrainer, RatedGroups, group_stats, rated_groups
from tests.support.objectives import Shared, cases, pairs, step_gradient

GROUPED = [name for name in METHODS if isinstance(load(name), GroupTrainer)]
LOGIT = 0.8472978603872037  # log .7/.3: a difference of scores that makes the weights .7 and .3
HAND: dict[str, tuple[GroupTrainer[Any], list[float], dict[str, float]]] = {
    "plackett_luce_dpo": (PLDPO, [3.0, 2.0, 1.0], {}),
    "lipo_lambda": (LiPO, [1.0, 0.0, 0.5], {}),
    "nca_list": (NCAList, [LOGIT, 0.0], {"temperature": 1.0}),
    "infonca_list": (InfoNCA, [LOGIT, 0.0], {"temperature": 1.0}),
    "exo_list": (EXOList, [LOGIT, 0.0], {"temperature": 1.0}),
}


def one(log_ratio: Tensor, score: Any) -> RatedGroups:
    """A group alone."""
    scores = torch.as_tensor(score, dtype=torch.float64)
    return rated_groups(log_ratio, scores, torch.zeros(len(scores), dtype=torch.long))


@pytest.mark.parametrize("name", HAND)
def test_loss_and_gradient_are_those_worked_out_by_hand(name: str) -> None:
    trainer, score, options = HAND[name]
    [case] = cases("hand", name)
    values = tensor(case.inputs["scores"], dtype=torch.float64)[:, 0].requires_grad_()
    loss = trainer.loss(one(values, score), trainer.Config(beta=1.0, **options)).sum()
    assert loss.item() == pytest.approx(case.loss, rel=1e-9)
    [gradient] = torch.autograd.grad(loss, values)
    assert gradient.tolist() == pytest.approx([row[0] for row in case.gradients["scores"]], rel=1e-6)


@pytest.mark.parametrize("score", [[2, 1, 1, 0], [1, 1, 1, 1], [0, 3, 3, 3], [1, 1, 0, 0], [0, 1, 2, 3]])
def test_a_ranking_with_ties_is_the_mean_over_the_orders_that_it_allows(score: list[float]) -> None:
    reward = tensor([0.5, -1.2, 2.0, 0.1], dtype=torch.float64)
    orders = [p for p in permutations(range(4)) if all(score[a] >= score[b] for a, b in pairwise(p))]
    losses = []
    for order in orders:
        left = reward[list(order)].exp()
        losses.append(-sum(float((left[k] / left[k:].sum()).log()) for k in range(4)))
    assert ranking_loss(reward, tensor(score)).item() == pytest.approx(sum(losses) / len(orders), rel=1e-12)


def test_too_many_ties_are_refused() -> None:
    with pytest.raises(DataError, match="13 outputs of one instruction have one score"):
        ranking_loss(torch.zeros(13), torch.ones(13))


def test_of_two_responses_the_losses_are_those_on_pairs() -> None:
    """pl_dpo is dpo with sure preferences and ties. Weights as sure or soft as p make the others theirs."""
    sides = tensor([[-1.0], [-4.0], [-3.0], [-2.0]], dtype=torch.float64)
    ratios = tensor([2.0, -2.0], dtype=torch.float64)

    def on_pair(trainer: Any, preference: float, **options: Any) -> float:
        return float(trainer.loss(pairs(sides, preference), trainer.Config(beta=0.3, **options)))

    def on_group(trainer: Any, score: list[float], **options: Any) -> float:
        return float(trainer.loss(one(ratios, score), trainer.Config(beta=0.3, **options)))

    for score, preference in (([1.0, 0.0], 1.0), ([0.5, 0.5], 0.5)):
        assert on_group(PLDPO, score) == pytest.approx(on_pair(DPO, preference))
        assert on_group(PLDPO, score, per_choice=True) == pytest.approx(on_pair(DPO, preference))
    sure, soft = {"temperature": 1e-3}, {"temperature": 1.0}
    assert on_group(InfoNCA, [1.0, 0.0], **sure) == pytest.approx(on_pair(DPO, 1.0))
    assert on_group(InfoNCA, [LOGIT, 0.0], **soft) == pytest.approx(on_pair(DPO, 0.7))
    assert on_group(NCAList, [1.0, 0.0], **sure) == pytest.approx(on_pair(NCA, 1.0))
    assert on_group(NCAList, [LOGIT, 0.0], **soft) == pytest.approx(on_pair(NCA, 0.7))
    assert on_group(EXOList, [LOGIT, 0.0], **soft) == pytest.approx(on_pair(EXO, 1.0, label_smoothing=0.3))


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """Log-ratios, scores with a tie, and groups of 3, 2 and 4 outputs."""
    torch.manual_seed(5)
    score = tensor([1.0, 0.5, 0.0, 0.2, 0.9, 0.5, 1.0, 0.5, 0.1], dtype=torch.float64)
    return 3 * torch.randn(9, dtype=torch.float64), score, tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])


@pytest.mark.parametrize("name", GROUPED)
def test_gradients_are_those_of_differences_and_groups_do_not_touch(name: str) -> None:
    trainer: Any = load(name)
    config = trainer.Config(beta=0.4)
    values, score, group = drawn()

    def loss(log_ratio: Tensor) -> Tensor:
        return trainer.loss(rated_groups(log_ratio, score, group), config)  # type: ignore[no-any-return]

    assert gradcheck(loss, [values.clone().requires_grad_()])
    alone = [trainer.loss(one(values[group == i], score[group == i]), config).item() for i in range(3)]
    assert loss(values).tolist() == pytest.approx(alone, rel=1e-12)
    turned = torch.arange(8, -1, -1)
    backwards = trainer.loss(rated_groups(values[turned], score[turned], 2 - group[turned]), config)
    assert backwards.tolist() == pytest.approx(alone[::-1], rel=1e-12), "the order of rows says nothing"


@pytest.mark.parametrize("name", GROUPED)
def test_better_outputs_become_likelier(name: str) -> None:
    """At the reference, where all log-ratios are 0: the best is pushed up, and the worst down from it."""
    trainer: Any = load(name)
    values = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    trainer.loss(one(values, [0.5, 1.0, 0.0]), trainer.Config()).sum().backward()
    assert values.grad is not None
    middle, best, worst = (-values.grad).tolist()
    assert best > middle > worst
    assert best > 0 > worst


def test_lipo_learns_at_the_reference_and_leaves_ties_alone() -> None:
    zeros = torch.zeros(3, dtype=torch.float64)
    assert (lambda_weights(one(zeros, [0.0, 0.5, 1.0]), zeros[None]) > 0).sum() == 3
    assert lambda_weights(one(zeros, [0.5, 0.5, 0.5]), zeros[None]).sum() == 0


def test_longer_lists_weigh_no_more_with_per_choice() -> None:
    values, score, group = drawn()
    rated = rated_groups(values, score, group)
    plain, fair = (PLDPO.loss(rated, PLDPOConfig(per_choice=choice)) for choice in (False, True))
    assert (plain / fair).tolist() == pytest.approx([2.0, 1.0, 3.0])


def test_what_is_logged_by_hand() -> None:
    """β ½. Group 0: rewards 1, 0 in order, margin 1. Group 1: rewards 0, 2, 0 of scores 1, 0, 0: −2 and 0."""
    rated = rated_groups(
        tensor([2.0, 0.0, 0.0, 4.0, 0.0]), tensor([1.0, 0.0, 1.0, 0.0, 0.0]), tensor([0, 0, 1, 1, 1])
    )
    found = {name: value.item() for name, value in group_stats(rated, 0.5).items()}
    assert found["rewards/mean"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["rewards/margins"] == pytest.approx((1 + (-2 + 0) / 2) / 2)
    assert found["rewards/accuracies"] == pytest.approx((1 + (0 + 0.5) / 2) / 2)


@pytest.fixture(scope="module")
def shared(make_model: Callable[..., Any]) -> Any:
    return Shared(*(str(make_model(seed=seed, hidden=16, layers=1)) for seed in (0, 1)))


RECORDS = [
    OutputGroup(
        Prompt(f"say {i}"),
        tuple(f"yes {'y' * i} {k}" + " no" * k for k in range(2 + i % 3)),
        tuple([0.0, 1.0, 1.0, 0.3][(i + k) % 4] for k in range(2 + i % 3)),
    )
    for i in range(8)
]


@pytest.mark.parametrize("name", GROUPED)
def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(name: str, shared: Any) -> None:
    whole = step_gradient(name, shared, RECORDS, 8, beta=0.3)
    assert whole.norm() > 0
    for micro_batch in (2, 1):
        split = step_gradient(name, shared, RECORDS, micro_batch, beta=0.3)
        assert (split - whole).norm() < 1e-12 * whole.norm()
