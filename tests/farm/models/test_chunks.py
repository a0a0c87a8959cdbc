"""Measures of logits in parts: the values and gradients of the whole, without its memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from farm.models import chunks
from farm.models.chunks import head_logps, in_chunks
from farm.models.codec import Row, collate
from farm.models.ops import entropy, full_logps, token_logps
from farm.models.policy import Policy

ROWS = [Row([10, 11, 12], [20, 21, 2]), Row([10], [30, 2]), Row([9, 8, 7, 6], [5, 4, 3, 20, 2])]


def gradients(policy: Policy) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}
    policy.zero_grad()
    return found


@pytest.mark.parametrize("positions", [1, 3, 4])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_parts_give_the_values_and_gradients_of_the_whole(
    model_dir: str, monkeypatch: pytest.MonkeyPatch, positions: int, temperature: float
) -> None:
    """10 positions in parts of 1, 3 (one is left over) and 4."""
    policy = Policy.load(model_dir, seed=0).double()
    tokens = collate(ROWS, 0)
    towards = torch.linspace(-1, 2, tokens.mask.numel(), dtype=torch.float64).reshape(tokens.mask.shape)
    whole = policy(tokens, temperature)
    (whole * towards).sum().backward()
    expected = gradients(policy)
    vocabulary = policy.model.get_output_embeddings().weight.shape[0]
    monkeypatch.setattr(chunks, "LOGITS", positions * vocabulary)
    parted = policy(tokens, temperature)
    (parted * towards).sum().backward()
    found = gradients(policy)
    assert torch.allclose(parted, whole, rtol=0, atol=1e-12)
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], expected[name], rtol=0, atol=1e-12) for name in expected)
    with torch.no_grad():
        assert torch.equal(policy(tokens, temperature), parted)


def test_several_measures_of_a_position(model_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy.load(model_dir)
    tokens = collate(ROWS, 0)

    def both(logits: Tensor, ids: Tensor) -> Tensor:
        return torch.stack([token_logps(logits, ids), entropy(full_logps(logits))], -1)

    logits, ids = policy.response_logits(tokens), tokens.ids[tokens.mask]
    monkeypatch.setattr(chunks, "LOGITS", 2 * logits.shape[1])
    found = policy.of_each_token(tokens, both)
    assert found.shape == (10, 2)
    assert torch.allclose(found, both(logits, ids), atol=1e-6)


def test_what_waits_for_the_backward_pass_does_not_follow_the_vocabulary() -> None:
    """Autograd keeps far less of 600 positions over 49,152 tokens than their logits."""
    n, width, vocabulary = 600, 8, 49_152
    head = torch.nn.Linear(width, vocabulary, bias=False)
    states = torch.randn(n, width, requires_grad=True)
    ids = torch.randint(vocabulary, (n,))
    kept: list[int] = []

    def keep(saved: Tensor) -> Tensor:
        kept.append(saved.numel())
        return saved

    def measure(part: Tensor, of: Tensor) -> Tensor:
        return token_logps(head(part), of)

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        whole = measure(states, ids)
        of_whole = sum(kept)
        kept.clear()
        parted = in_chunks(measure, (states, ids), vocabulary)
    assert of_whole > n * vocabulary
    assert sum(kept) < n * vocabulary / 20
    assert torch.allclose(parted, whole, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("rows", [1, 2, 5, 100])
def test_log_probabilities_of_a_head_and_their_gradient(
    monkeypatch: pytest.MonkeyPatch, rows: int, temperature: float
) -> None:
    """5 positions over 11 tokens, in parts of so many rows: torch's own values, and finite differences."""
    monkeypatch.setattr(chunks, "LOGITS", 11 * rows)
    made = torch.Generator().manual_seed(rows)
    states = torch.randn(5, 3, generator=made, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(11, 3, generator=made, dtype=torch.float64, requires_grad=True)
    ids = torch.tensor([0, 10, 3, 3, 7])
    found = head_logps(states, weight, ids, temperature)
    expected = token_logps(states @ weight.T / temperature, ids)
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(lambda a, b: head_logps(a, b, ids, temperature), (states, weight))
    assert torch.autograd.gradcheck(lambda of: head_logps(of, weight.detach(), ids, temperature), states)


@pytest.mark.parametrize(("rows", "products"), [(8, 2), (5, 2 + 5 / 8), (2, 2 + 6 / 8)])
def test_the_last_part_is_not_made_again(monkeypatch: pytest.MonkeyPatch, rows: int, products: float) -> None:
    """8 positions, so many a part: logits, the states' gradient, and logits before the last part again.

    torch does not count the product that is added to the weights' gradient.
    """
    monkeypatch.setattr(chunks, "LOGITS", 11 * rows)
    states, weight = torch.randn(8, 3, requires_grad=True), torch.randn(11, 3, requires_grad=True)
    with FlopCounterMode(display=False) as counted:
        found = head_logps(states, weight, torch.arange(8))
        kept: Any = found.grad_fn
        assert kept.last.numel() == 11 * ((8 - 1) % rows + 1)
        found.sum().backward(retain_graph=True)
    assert counted.get_total_flops() == products * 2 * 8 * 3 * 11
    assert kept.last is None, "the backward pass used it up"
    first = [each.grad.clone() for each in (states, weight) if each.grad is not None]
    states.grad = weight.grad = None
    found.sum().backward()
    for again, before in zip((states.grad, weight.grad), first, strict=True):
        assert again is not None
        assert torch.equal(again, before)


def test_large_logits_lose_nothing() -> None:
    """A sure token has a log-probability near 0, not the rounding of a logit of 10,000."""
    states, weight = torch.tensor([[1.0]]), torch.tensor([[10_000.0], [9_995.0], [-1e4]])
    found = head_logps(states, weight, torch.tensor([0]))
    assert found.item() == pytest.approx(-0.0067153, abs=1e-7)  # -log(1 + e^-5)


def test_half_precision_is_as_good_as_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights and states in bfloat16, as under autocast: sums over parts are not rounded on the way."""
    made = torch.Generator().manual_seed(0)
    states, weight = torch.randn(64, 16, generator=made), torch.randn(50, 16, generator=made)
    ids = torch.randint(50, (64,), generator=made)
    monkeypatch.setattr(chunks, "LOGITS", 50 * 2)
    of = [each.clone().requires_grad_() for each in (states, weight)]
    plain = [each.clone().requires_grad_() for each in (states, weight)]
    with torch.autocast("cpu", torch.bfloat16):
        found = head_logps(of[0], of[1], ids)
        expected = token_logps(plain[0] @ plain[1].T, ids)
    found.sum().backward()
    expected.sum().backward()
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=1e-5)
    for ours, theirs in zip(of, plain, strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert torch.allclose(ours.grad, theirs.grad, atol=2e-2 * float(theirs.grad.abs().max()))
