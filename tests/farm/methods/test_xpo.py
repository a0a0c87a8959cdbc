from __future__ import annotations

import pytest
import torch
from torch import tensor

from farm.methods.online_dpo import OnlineDPOConfig, online_dpo_loss
from farm.methods.xpo import XPOConfig, xpo_loss
from farm.training.pair_method import RatedPairs
from tests.support.objectives import Case, cases, leaves, responses
from tests.support.on_policy import MethodMaker, assert_fresh_pairs_add_up


@pytest.mark.parametrize("case", cases("fresh", "xpo")[:2])
def test_loss_and_gradients_are_trls(case: Case) -> None:
    own, other = leaves(case.inputs["own"]), leaves(case.inputs["other"])
    sides = responses(own, case.inputs["own_reference"]), responses(other, case.inputs["other_reference"])
    pairs = RatedPairs(*sides, tensor(case.inputs["own_chosen"], dtype=torch.float64))
    loss = xpo_loss(pairs, XPOConfig(beta=case.options["beta"], alpha=case.options["alpha"])).mean()
    loss.backward()
    assert loss.item() == pytest.approx(case.loss, rel=1e-9)
    for rows, name in ((own, "own"), (other, "other")):
        found = [row.grad.tolist() for row in rows if row.grad is not None]
        assert found == [pytest.approx(row, rel=1e-9) for row in case.gradients[name]]


def test_without_alpha_it_is_online_dpo() -> None:
    torch.manual_seed(0)
    rows = [torch.randn(4).double().tolist() for _ in range(12)]
    sides = responses(leaves(rows[:3]), rows[3:6]), responses(leaves(rows[6:9]), rows[9:])
    pairs = RatedPairs(*sides, tensor([1.0, 0.3, 0.5], dtype=torch.float64))
    assert torch.equal(
        xpo_loss(pairs, XPOConfig(alpha=0.0, beta=0.2)), online_dpo_loss(pairs, OnlineDPOConfig(beta=0.2))
    )


def test_the_reference_draws_the_second_response(made: MethodMaker) -> None:
    """A policy that leaves its reference draws the first alone otherwise; both differ from the start."""
    method = made("xpo")
    plan = next(method.feed.plans(0))
    before = method.feed.drawn(plan)
    assert not torch.equal(before.first.ids, before.second.ids)
    with torch.no_grad():
        for weight in method.policy.parameters():
            weight.mul_(0.5)
    after = method.feed.drawn(plan)
    width = min(before.second.ids.shape[1], after.second.ids.shape[1])
    assert torch.equal(before.second.ids[:, :width], after.second.ids[:, :width])
    assert not torch.equal(before.first.ids[:, :width], after.first.ids[:, :width])


def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(made: MethodMaker) -> None:
    assert_fresh_pairs_add_up(made("xpo", batch_size=4, n=2, beta=0.3))
