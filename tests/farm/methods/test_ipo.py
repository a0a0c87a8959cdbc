import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import tensor
from torch.autograd import gradcheck

from farm.methods.ipo import IPO, IPOConfig, ipo_loss, per_token
from farm.models.tokens import Prompt, Tokens
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair
from farm.training.pair_method import PairLogps
from farm.training.run_models import LoadedModels

VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "vectors" / "ipo.json").read_text())["cases"]


def batch_of(case: dict[str, Any]) -> PairBatch:
    def tokens(rows: list[list[float]]) -> Tokens:
        width = max(map(len, rows))
        mask = tensor([[True] * len(row) + [False] * (width - len(row)) for row in rows])
        return Tokens(torch.zeros_like(mask, dtype=torch.long), mask)

    rows = tokens(case["chosen_logps"]), tokens(case["rejected_logps"])
    return PairBatch(*rows, torch.ones(4), torch.zeros(4))


def sums(rows: list[list[float]]) -> torch.Tensor:
    return tensor([math.fsum(row) for row in rows], dtype=torch.float64)


@pytest.mark.parametrize("case", VECTORS)
def test_length_normalised_loss_and_gradient_are_trls(case: dict[str, Any]) -> None:
    batch = batch_of(case)
    policy = PairLogps(
        sums(case["chosen_logps"]).requires_grad_(), sums(case["rejected_logps"]).requires_grad_()
    )
    reference = PairLogps(sums(case["reference_chosen_logps"]), sums(case["reference_rejected_logps"]))
    loss = ipo_loss(per_token(policy, batch), per_token(reference, batch), 1.0, case["beta"]).mean()
    assert loss.item() == pytest.approx(case["loss"], rel=1e-6)
    grads = torch.autograd.grad(loss, policy)
    assert grads[0].tolist() == pytest.approx(case["gradient_of_chosen_sums"], rel=1e-5)
    assert grads[1].tolist() == pytest.approx(case["gradient_of_rejected_sums"], rel=1e-5)


def test_the_papers_loss_by_hand() -> None:
    """h = (−1 + 3) − (−4 + 2) = 4, 1 / (2τ) = 2 at τ ¼: (4 − 2)² = 4, the other way round (4 + 2)² = 36."""
    policy, reference = PairLogps(tensor([-1.0]), tensor([-4.0])), PairLogps(tensor([-3.0]), tensor([-2.0]))
    assert ipo_loss(policy, reference, 1.0, 0.25).item() == 4
    assert ipo_loss(policy, reference, 0.0, 0.25).item() == 36
    assert ipo_loss(policy, reference, 0.75, 0.25).item() == 0.75 * 4 + 0.25 * 36


def test_at_the_reference_the_loss_is_the_square_of_the_target(model_dir: str) -> None:
    records = [PreferencePair(Prompt(f"q{i}"), "yes " * (1 + i), "no", 1.0) for i in range(4)]
    for normalised in (False, True):
        config = IPOConfig(batch_size=4, tau=0.5, length_normalised=normalised)
        method = IPO(config, Data(records, records), LoadedModels(model_dir, config))
        for (batch,) in (next(method.feed.batches(0)), list(method.feed.held_out())):
            assert method.loss(batch).loss.item() == pytest.approx(1.0, abs=1e-4)


def test_gradients() -> None:
    values = [torch.randn(4, dtype=torch.float64, requires_grad=i < 2) for i in range(4)]
    assert gradcheck(lambda a, b: ipo_loss(PairLogps(a, b), PairLogps(*values[2:]), 0.8, 0.3), values[:2])
