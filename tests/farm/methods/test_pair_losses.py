"""What holds for every loss on pairs: gradients, soft preferences, ties, known numbers, splits of a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, tensor
from torch.autograd import gradcheck

from farm.config import TrainConfig
from farm.methods import load
from farm.methods.dpo import DPOConfig
from farm.methods.f_dpo import FDPOConfig
from farm.methods.ipo import IPOConfig
from farm.methods.orpo import log_odds
from farm.models.tokens import Prompt
from farm.training.data import DataError, PreferencePair
from farm.training.pair_method import PairTrainer, RatedPairs
from tests.support.objectives import Shared, drawn, pair_trainers, pairs, step_gradient

PAIR_METHODS = [name for name, _ in pair_trainers()]


@pytest.mark.parametrize("name", PAIR_METHODS)
@pytest.mark.parametrize("preference", [0.5, 0.8, 1.0])
def test_gradients_are_those_of_differences(name: str, preference: float) -> None:
    trainer: Any = load(name)
    values = drawn()

    def loss(chosen: Tensor, rejected: Tensor) -> Tensor:
        whole = torch.stack([chosen, rejected, *values[2:]])
        return trainer.loss(pairs(whole, preference), trainer.Config())  # type: ignore[no-any-return]

    assert gradcheck(loss, [each.clone().requires_grad_() for each in values[:2]])


@pytest.mark.parametrize("name", PAIR_METHODS)
def test_a_pair_turned_round_with_its_preference_is_the_same_pair(name: str) -> None:
    """So a tie has one loss whichever response is called chosen."""
    trainer: Any = load(name)
    config = trainer.Config()
    for preference in (0.5, 0.7, 1.0):
        one = pairs(drawn(), preference)
        other = RatedPairs(one.rejected, one.chosen, 1 - preference)
        assert trainer.loss(one, config).tolist() == pytest.approx(trainer.loss(other, config).tolist())


SOFT = [name for name in PAIR_METHODS if name not in ("exo", "sppo")]


@pytest.mark.parametrize("name", SOFT)
def test_a_soft_preference_is_the_mean_over_votes(name: str) -> None:
    trainer: Any = load(name)
    config = trainer.Config()
    soft, won, lost = (trainer.loss(pairs(drawn(), p), config) for p in (0.75, 1.0, 0.0))
    assert soft.tolist() == pytest.approx((0.75 * won + 0.25 * lost).tolist())


def test_sppos_gradient_is_that_of_the_mean_over_votes_and_exos_is_not() -> None:
    """A squared error to a mean; exo's loss is a divergence to the distribution itself."""
    found = {}
    for name in ("sppo", "exo"):
        trainer: Any = load(name)
        grads = []
        for p in (0.75, 1.0, 0.0):
            values = drawn().requires_grad_()
            trainer.loss(pairs(values, p), trainer.Config()).sum().backward()
            assert values.grad is not None
            grads.append(values.grad)
        found[name] = torch.allclose(grads[0], 0.75 * grads[1] + 0.25 * grads[2])
    assert found == {"sppo": True, "exo": False}


KNOWN: dict[str, float] = {
    "robust_dpo": math.log(2),
    "f_dpo": math.log(2),
    "dpop": math.log(2),
    "hinge": 1.0,
    "apo_zero": 1.0,
    "apo_down": 1.0,
    "sppo": 0.25,
    "exo": 0.5 * math.log(0.5 / 0.999) + 0.5 * math.log(0.5 / 0.001),
    "nca": 2 * math.log(2),
    "discopop": (math.log(2) + 1) / 2,
}


@pytest.mark.parametrize("name", KNOWN)
def test_at_the_reference_the_loss_is_a_known_number(name: str) -> None:
    trainer: Any = load(name)
    values = drawn()
    at = pairs(torch.stack([values[0], values[1], values[0], values[1]]), 1.0)
    assert trainer.loss(at, trainer.Config()).tolist() == pytest.approx([KNOWN[name]] * 5)


def test_robust_dpo_is_dpo_in_the_mean_over_flips_and_without_a_lower_bound() -> None:
    trainer: Any = load("robust_dpo")
    config, flipped = trainer.Config(flip_rate=0.2), 0.2
    won, lost = (trainer.loss(pairs(drawn(), p), config) for p in (1.0, 0.0))
    clean: Any = load("dpo")
    truth = clean.loss(pairs(drawn(), 1.0), clean.Config())
    assert ((1 - flipped) * won + flipped * lost).tolist() == pytest.approx(truth.tolist())
    apart = pairs(tensor([[-1.0], [-9000.0], [-5.0], [-5.0]], dtype=torch.float64), 1.0)
    assert trainer.loss(apart, config).item() < -100


def test_f_dpo_with_the_reverse_kl_is_dpo_and_alpha_lies_between_the_two() -> None:
    trainer: Any = load("f_dpo")
    plain: Any = load("dpo")
    at = pairs(drawn(), 0.8)

    def loss(kind: Any, alpha: float = 0.5) -> list[float]:
        return trainer.loss(at, FDPOConfig(divergence=kind, alpha=alpha)).tolist()  # type: ignore[no-any-return]

    assert loss("reverse_kl") == pytest.approx(plain.loss(at, DPOConfig()).tolist())
    assert loss("alpha", 1e-9) == pytest.approx(loss("reverse_kl"), rel=1e-5)
    assert loss("alpha", 1 - 1e-9) == pytest.approx(loss("forward_kl"), rel=1e-5)
    far = pairs(tensor([[-900.0], [-1.0], [-1.0], [-900.0]], dtype=torch.float32), 1.0)
    assert trainer.loss(far, FDPOConfig(divergence="forward_kl")).isfinite().all()


def test_odds_are_exact_at_both_ends_and_a_sure_response_is_refused() -> None:
    means = tensor([-1e-12, -1e-3, -math.log(2), -3.0, -40.0], dtype=torch.float64, requires_grad=True)
    found = log_odds(means)
    assert found[2].item() == pytest.approx(0, abs=1e-12), "probability ½"
    assert found[0].item() == pytest.approx(-1e-12 - math.log(1e-12))
    assert found[4].item() == pytest.approx(-40)
    found.sum().backward()
    assert means.grad is not None
    assert means.grad.isfinite().all()
    with pytest.raises(DataError, match="probability 1 under the policy"):
        log_odds(tensor([-1.0, 0.0]))


def test_length_enters_only_where_the_loss_is_by_token() -> None:
    by_token = set()
    for name in PAIR_METHODS:
        trainer: Any = load(name)
        short, long = (trainer.loss(pairs(drawn(), 1.0, n), trainer.Config()) for n in ((3, 5), (6, 10)))
        if not torch.equal(short, long):
            by_token.add(name)
    assert by_token == {"simpo", "orpo"}
    ipo: Any = load("ipo")
    config = IPOConfig(length_normalised=True)
    assert not torch.equal(*(ipo.loss(pairs(drawn(), 1.0, n), config) for n in ((3, 5), (6, 10))))


@pytest.mark.parametrize("name", PAIR_METHODS)
def test_the_reference_counts_where_the_method_says_that_it_needs_one(name: str) -> None:
    trainer: PairTrainer[Any] = load(name)  # type: ignore[assignment]
    config: TrainConfig = trainer.Config()
    values = drawn()
    moved = torch.cat([values[:2], values[2:] - tensor([[1.0], [3.0]])])
    losses = [trainer.loss(pairs(each, 1.0), config) for each in (values, moved)]
    assert torch.equal(*losses) == (trainer.needs == ())


@pytest.fixture(scope="module")
def shared(make_model: Callable[..., Any]) -> Any:
    return Shared(*(str(make_model(seed=seed, hidden=16, layers=1)) for seed in (0, 1)))


RECORDS = [
    PreferencePair(Prompt(f"say {i}"), "yes " * (1 + i % 4), f"no {'n' * i}", [1.0, 0.8, 0.5, 0.1][i % 4])
    for i in range(8)
]


@pytest.mark.parametrize("name", PAIR_METHODS)
def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(name: str, shared: Any) -> None:
    whole = step_gradient(name, shared, RECORDS, 8)
    assert whole.norm() > 0
    for micro_batch in (2, 1):
        split = step_gradient(name, shared, RECORDS, micro_batch)
        assert (split - whole).norm() < 1e-12 * whole.norm()
