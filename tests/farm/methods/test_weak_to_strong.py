"""Weak labels and one's own verdict: targets by hand and from the authors' formulas, the warm-up, resume."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import tensor

from farm.methods.weak_to_strong import (
    WeakToStrong,
    WeakToStrongConfig,
    confidence_target,
    weak_to_strong_loss,
)
from farm.methods.weak_to_strong_product import (
    WeakToStrongProductConfig,
    product_loss,
    product_target,
)
from farm.models.ops import preference_loss
from farm.models.tokens import Prompt
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair
from farm.training.run_models import LoadedModels
from farm.training.score_method import PairScores
from tests.support.objectives import Shared, step_gradient

MARGIN, WEAK = tensor([2.0, -1.0, 0.0, 0.5]), tensor([0.9, 0.8, 0.7, 0.5])


def test_the_confidence_target_by_hand() -> None:
    """α ½: the mean of the weak label and of 1, 0, ½, 1."""
    found = confidence_target(MARGIN, WEAK, 0.5)
    assert found.tolist() == pytest.approx([0.95, 0.4, 0.6, 0.75])
    assert torch.equal(confidence_target(MARGIN, WEAK, 0.0), WEAK)


def test_its_threshold_is_the_authors_quantile_where_classes_are_balanced() -> None:
    """Their rule, spelt out: pairs in both orders, so that each class has half of the weak labels."""
    margins, weak = (
        torch.cat([MARGIN[[0, 1, 3]], -MARGIN[[0, 1, 3]]]),
        torch.cat([WEAK[[0, 1, 3]], 1 - WEAK[[0, 1, 3]]]),
    )
    strong = margins.sigmoid()
    threshold = torch.quantile(strong, 1 - weak.mean())
    theirs = 0.75 * weak + 0.25 * (strong >= threshold).float()
    assert confidence_target(margins, weak, 0.25).tolist() == pytest.approx(theirs.tolist())


def test_the_product_target_is_the_normalised_product() -> None:
    own = MARGIN.sigmoid()
    for beta in (0.0, 1.0, 2.0):
        first, second = own**beta * WEAK, (1 - own) ** beta * (1 - WEAK)
        assert product_target(MARGIN, WEAK, beta).tolist() == pytest.approx(
            (first / (first + second)).tolist()
        )
    assert product_target(MARGIN, tensor([1.0, 0.0, 1.0, 0.0]), 1.0).tolist() == [1.0, 0.0, 1.0, 0.0]


def test_no_gradient_flows_into_a_target() -> None:
    scores = PairScores(MARGIN.clone().requires_grad_(), torch.zeros(4))
    batch: Any = PairBatch(None, None, WEAK, torch.zeros(4))  # type: ignore[arg-type]
    for loss, target in (
        (weak_to_strong_loss(scores, WEAK, 0.5), confidence_target(MARGIN, WEAK, 0.5)),
        (product_loss(scores, batch, WeakToStrongProductConfig()), product_target(MARGIN, WEAK, 1.0)),
    ):
        [gradient] = torch.autograd.grad(loss.sum(), scores.chosen)
        assert gradient.tolist() == pytest.approx((MARGIN.sigmoid() - target).tolist(), abs=1e-6)
        assert torch.allclose(loss, preference_loss(MARGIN, target))


RECORDS = [
    PreferencePair(Prompt(f"say {i}"), "yes " * (1 + i % 4), "n" * (1 + i), [0.9, 0.2, 0.8, 0.5][i % 4])
    for i in range(8)
]


@pytest.mark.parametrize("name", ["weak_to_strong", "weak_to_strong_product"])
def test_one_batch_of_eight_is_four_of_two(name: str, make_model: Any) -> None:
    shared = Shared(*(str(make_model(seed=seed, hidden=16, layers=1)) for seed in (0, 1)))
    options = {"warm_up": 0.0} if name == "weak_to_strong" else {}
    whole = step_gradient(name, shared, RECORDS, 8, **options)
    for micro_batch in (2, 1):
        split = step_gradient(name, shared, RECORDS, micro_batch, **options)
        assert (split - whole).norm() < 1e-12 * whole.norm()


def test_trust_rises_along_a_line_and_a_resumed_run_has_the_same(model_dir: str) -> None:
    """20 steps, warm-up over 4 of them: 0, ⅛, ¼, ⅜, ½, ½. The authors' code would have 0, 0.025, 0.05, ½."""
    config = WeakToStrongConfig(batch_size=2, epochs=5.0, warm_up=0.2)
    method = WeakToStrong(config, Data(RECORDS, RECORDS[:2]), LoadedModels(model_dir, config))
    steps = [batch.alpha for [batch] in method.feed.batches(0)]
    assert steps[:6] == pytest.approx([0, 0.125, 0.25, 0.375, 0.5, 0.5])
    assert [batch.alpha for [batch] in method.feed.batches(3)] == steps[3:]
    [held_out] = method.feed.held_out()
    assert held_out.alpha == 0
    assert set(method.summary()) > {"held_out/accuracy", "held_out/ece"}
    assert math.isfinite(method.summary()["held_out/ece"])
