"""Credit: the mean over tokens by weights of their own."""

import torch
from torch import tensor

from farm.models.tokens import Tokens
from farm.training.batches import Rollout
from farm.training.credit import Credit
from farm.training.rows import take

MASK = tensor([[False, True, True, False], [False, True, True, True]])
TOKENS = Tokens(torch.zeros(2, 4, dtype=torch.long), MASK)
NOTHING = torch.zeros(2, 4)
ROLLOUT = Rollout(TOKENS, NOTHING, NOTHING, NOTHING, tensor([1.0, 2.0]), tensor([True, True]))


def credit(weights: list[list[float]]) -> Credit:
    return Credit(ROLLOUT, NOTHING, tensor(weights), {})


def test_a_token_of_weight_0_is_left_out_and_what_stands_off_the_mask_is_ignored() -> None:
    """(2 · 1 + 1 · 4 + 1 · 8) / 4."""
    nan = float("nan")
    found = credit([[0, 2, 0, 0], [0, 1, 0, 1]])
    assert found.weight == 4
    assert found.mean(tensor([[nan, 1.0, 5.0, nan], [nan, 4.0, 7.0, 8.0]])) == 3.5


def test_parts_by_their_weights_are_the_whole() -> None:
    whole = credit([[0, 2, 1, 0], [0, 1, 0, 1]])
    values = tensor([[0.0, 1.0, 5.0, 0.0], [0.0, 4.0, 7.0, 8.0]])
    parts = [take(whole, tensor([row])) for row in (0, 1)]
    means = [part.mean(values[[row], : part.tokens.mask.shape[1]]) for row, part in enumerate(parts)]
    total = sum(part.weight * mean for part, mean in zip(parts, means, strict=True))
    assert total / whole.weight == whole.mean(values)
