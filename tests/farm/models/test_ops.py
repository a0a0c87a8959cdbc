import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import tensor
from torch.autograd import gradcheck

from farm.models import ops

MASK = tensor([[0, 1, 1, 0], [1, 1, 1, 0]])
NAN = float("nan")


def test_masked_mean_by_hand_ignores_what_stands_off_the_mask() -> None:
    values = tensor([[NAN, 1.0, 2.0, 9.0], [3.0, 4.0, 5.0, NAN]])
    assert ops.masked_mean(values, MASK).item() == 3.0  # (1 + 2 + 3 + 4 + 5) / 5
    assert ops.masked_row_mean(values, MASK).tolist() == [1.5, 4.0]
    assert ops.masked_sum(values, MASK).tolist() == [3.0, 12.0]
    assert ops.masked_mean(values, torch.zeros_like(MASK)).item() == 0.0


def test_masked_var_by_hand() -> None:
    values = tensor([[NAN, 1.0, 2.0, 9.0], [3.0, 4.0, 5.0, NAN]])
    assert ops.masked_var(values, MASK).item() == 2.5  # (4 + 1 + 0 + 1 + 4) / (5 - 1)
    assert ops.masked_var(values, MASK, ddof=0).item() == 2.0


@given(st.integers(0, 10_000), st.integers(2, 12))
@settings(max_examples=30, deadline=None)
def test_whitened_values_have_mean_0_and_variance_1_on_the_mask(seed: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(3, width, generator=generator, dtype=torch.float64) * 5 + 3
    mask = torch.rand(3, width, generator=generator) < 0.7
    mask[0, :2] = True
    white = ops.masked_whiten(values, mask)
    assert ops.masked_mean(white, mask).item() == pytest.approx(0, abs=1e-9)
    assert ops.masked_var(white, mask).item() == pytest.approx(1, abs=1e-6)
    assert not white[~mask].any()
    kept = ops.masked_whiten(values, mask, shift_mean=False)
    assert ops.masked_mean(kept, mask).item() == pytest.approx(ops.masked_mean(values, mask).item())


def test_whitening_over_responses_is_not_changed_by_padding() -> None:
    values = torch.randn(2, 4, dtype=torch.float64)
    wide = torch.nn.functional.pad(values, (3, 2), value=99.0)
    mask = torch.nn.functional.pad(MASK, (3, 2))
    assert torch.allclose(ops.masked_whiten(values, MASK), ops.masked_whiten(wide, mask)[:, 3:7])


def test_token_logps_by_hand() -> None:
    logits = tensor([[0.0, math.log(3.0)], [math.log(4.0), 0.0]])
    logps = ops.token_logps(logits, tensor([0, 0]))
    assert logps.tolist() == pytest.approx([math.log(1 / 4), math.log(4 / 5)])


def test_entropy_by_hand() -> None:
    assert ops.entropy(ops.full_logps(torch.zeros(1, 8))).item() == pytest.approx(math.log(8))
    assert ops.entropy(ops.full_logps(tensor([[0.0, -1e4]]))).item() == pytest.approx(0)


def test_full_kl_by_hand() -> None:
    logits, ref = tensor([[math.log(3.0), 0.0]]), tensor([[0.0, 0.0]])
    # ¾ log(¾ / ½) + ¼ log(¼ / ½)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert ops.full_kl(ops.full_logps(logits), ops.full_logps(ref)).item() == pytest.approx(expected)


def test_kl_estimates_by_hand() -> None:
    logps, ref = tensor([math.log(0.5)]), tensor([math.log(0.25)])
    assert ops.kl_k1(logps, ref).item() == pytest.approx(math.log(2))
    assert ops.kl_k2(logps, ref).item() == pytest.approx(math.log(2) ** 2 / 2)
    assert ops.kl_k3(logps, ref).item() == pytest.approx(0.5 - 1 + math.log(2))  # r = ½


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_k3_is_never_negative(logp: float, ref: float) -> None:
    assert ops.kl_k3(tensor([logp], dtype=torch.float64), tensor([ref], dtype=torch.float64)).item() >= 0


def test_kl_estimates_are_unbiased_where_they_say_so() -> None:
    """Exact expectations over a vocabulary of three: E k1 = E k3 = KL."""
    policy, ref = tensor([[0.2, 0.5, 0.3]]).log(), tensor([[0.4, 0.4, 0.2]]).log()
    kl = ops.full_kl(policy, ref).item()
    for estimate in (ops.kl_k1, ops.kl_k3):
        assert (policy.exp() * estimate(policy, ref)).sum().item() == pytest.approx(kl, abs=1e-6)


def test_gae_by_hand() -> None:
    """γ = λ = ½ on three tokens. δ = (1 + ¼ − ¼, 0 + ¼ − ½, 2 + 0 − ½) from V = (¼, ½, ½), r = (1, 0, 2)."""
    rewards = tensor([[9.0, 1.0, 0.0, 2.0, 9.0]])
    values = tensor([[9.0, 0.25, 0.5, 0.5, 9.0]])
    mask = tensor([[0, 1, 1, 1, 0]])
    out = ops.gae(rewards, values, mask, 0.5, 0.5)
    # δ3 = 3/2; A3 = 3/2; δ2 = −1/4; A2 = −1/4 + 3/8 = 1/8; δ1 = 1; A1 = 1 + 1/32
    assert out.advantages.tolist() == [[0.0, 33 / 32, 1 / 8, 3 / 2, 0.0]]
    assert out.returns.tolist() == [[0.0, 33 / 32 + 1 / 4, 1 / 8 + 1 / 2, 2.0, 0.0]]


def test_gae_identities() -> None:
    rewards, values = torch.randn(2, 4, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    mask = torch.ones(2, 4)
    monte_carlo = rewards.flip(1).cumsum(1).flip(1)
    assert torch.allclose(ops.gae(rewards, values, mask, 1.0, 1.0).advantages, monte_carlo - values)
    ahead = torch.cat([values[:, 1:], torch.zeros(2, 1)], 1)
    assert torch.allclose(ops.gae(rewards, values, mask, 0.9, 0.0).advantages, rewards + 0.9 * ahead - values)


def test_gae_is_not_changed_by_padding() -> None:
    rewards, values = torch.randn(2, 4), torch.randn(2, 4)
    plain = ops.gae(rewards, values, torch.ones(2, 4), 0.9, 0.8)
    wide, wide_values = (torch.nn.functional.pad(x, (2, 3), value=NAN) for x in (rewards, values))
    padded = ops.gae(wide, wide_values, torch.nn.functional.pad(torch.ones(2, 4), (2, 3)), 0.9, 0.8)
    assert torch.allclose(plain.advantages, padded.advantages[:, 2:6])
    assert torch.allclose(plain.returns, padded.returns[:, 2:6])


def test_explained_variance() -> None:
    returns, mask = tensor([[1.0, 2.0, 3.0]]), torch.ones(1, 3)
    assert ops.explained_variance(returns, returns, mask).item() == 1
    assert ops.explained_variance(torch.full((1, 3), 2.0), returns, mask).item() == 0


def test_last_token_and_spread() -> None:
    assert ops.last_token(MASK).tolist() == [2, 2]
    assert ops.last_token(tensor([[False, True, False, False]])).tolist() == [1]
    values = torch.randn(2, 4) * MASK
    assert torch.equal(ops.spread(values[MASK != 0], MASK), values)


def test_clipped_objective_by_hand() -> None:
    """ε ¼: a ratio of 2 counts 5/4 for a good token, all of 2 against a bad one."""
    ratio, advantages = tensor([2.0, 2.0, 0.5, 0.5, 1.0]), tensor([1.0, -1.0, 1.0, -1.0, 3.0])
    assert ops.clipped_objective(ratio, advantages, 0.25).tolist() == [1.25, -2.0, 0.5, -0.75, 3.0]


def test_moments_of_two_processes_are_those_of_one() -> None:
    """Each process adds its numbers up with the other's, as `Processes.sum` does."""
    values, mask = torch.randn(4, 5, dtype=torch.float64), torch.rand(4, 5) < 0.7
    sums = iter(
        [
            torch.stack([values[mask].sum(), mask.sum().double()]),
            torch.stack([(values[mask] - values[mask].mean()).square().sum(), mask.sum().double()]),
        ]
    )
    found = ops.masked_var(values[:2], mask[:2], total=lambda _: next(sums))
    assert found.item() == pytest.approx(ops.masked_var(values, mask).item())
    total = torch.stack([values[mask].sum(), mask.sum().double()])
    mean = ops.masked_mean(values[:2], mask[:2], lambda mine: mine + (total - mine))
    assert mean.item() == pytest.approx(values[mask].mean().item())


def test_preference_loss_by_hand() -> None:
    zero = tensor([0.0])
    for preference in (0.0, 0.25, 1.0):
        assert ops.preference_loss(zero, preference).item() == pytest.approx(math.log(2))
    margin = tensor([math.log(3.0)])  # σ = ¾
    assert ops.preference_loss(margin, 1.0).item() == pytest.approx(math.log(4 / 3))
    assert ops.preference_loss(margin, 0.25).item() == pytest.approx(
        -0.25 * math.log(0.75) - 0.75 * math.log(0.25)
    )
    swapped = ops.preference_loss(-margin, 0.75)
    assert swapped.item() == pytest.approx(ops.preference_loss(margin, 0.25).item())


def test_preference_loss_is_finite_at_any_margin() -> None:
    assert ops.preference_loss(tensor([1e4, -1e4]), 1.0).tolist() == [0.0, 1e4]


def test_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.randn(2, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    p = torch.rand(2, 4, generator=generator, dtype=torch.float64)
    ids = tensor([1, 3])
    assert gradcheck(lambda a: ops.preference_loss(a, p), [x])
    assert gradcheck(lambda a: ops.masked_mean(a, MASK), [x])
    assert gradcheck(lambda a: ops.token_logps(a, ids), [x])
    assert gradcheck(lambda x: ops.entropy(ops.full_logps(x)), [x])
    assert gradcheck(lambda a, b: ops.clipped_objective(a, b, 0.2), [x, y])
    assert gradcheck(ops.kl_k3, [x, y])
    assert gradcheck(lambda a, b: ops.full_kl(ops.full_logps(a), ops.full_logps(b)), [x, y])
