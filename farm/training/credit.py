"""Rollouts with advantages: the batches of methods that learn from rollouts.

Each has `tokens`, so that `farm.training.rows` can select rows of it.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from farm.models.ops import masked_sum
from farm.models.tokens import Tokens
from farm.training.batches import Rollout
from farm.training.method import Stats


class Graded(NamedTuple):
    """Responses with one advantage each."""

    rollout: Rollout
    advantages: Tensor  # (B,)
    weights: Tensor  # (B,) what each response counts for in the mean; 0 leaves it out
    stats: Stats  # of the whole rollout that the responses come from

    @property
    def tokens(self) -> Tokens:
        """The rows: Tokens of (B, T)."""
        return self.rollout.tokens

    @property
    def weight(self) -> Tensor:
        """Sum of the responses' weights: a scalar."""
        return self.weights.sum()


class Credit(NamedTuple):
    """Responses whose tokens have an advantage and a weight of their own."""

    rollout: Rollout
    advantages: Tensor  # (B, T), 0 off the mask
    weights: Tensor  # (B, T) what each token counts for in the mean; 0 leaves it out, as it is off the mask
    stats: Stats  # of the whole rollout that the responses come from
    units: Tensor | None = None  # (B,) what each response counts for in the mean's denominator

    @property
    def tokens(self) -> Tokens:
        """The rows: Tokens of (B, T)."""
        return self.rollout.tokens

    @property
    def weight(self) -> Tensor:
        """The mean's denominator, a scalar: the sum of the tokens' weights unless `units` says another."""
        return (self.weights if self.units is None else self.units).sum()

    def mean(self, values: Tensor) -> Tensor:
        """Sum over the tokens by their weights, divided by `weight`: (B, T) -> scalar."""
        return masked_sum(self.weights * values, self.tokens.mask).sum() / self.weight


class Experience(NamedTuple):
    """Responses whose tokens have advantages and returns; every token counts the same."""

    rollout: Rollout
    advantages: Tensor  # (B, T)
    returns: Tensor  # (B, T)

    @property
    def tokens(self) -> Tokens:
        """The rows: Tokens of (B, T)."""
        return self.rollout.tokens

    @property
    def weight(self) -> Tensor:
        """Number of response tokens."""
        return self.rollout.tokens.mask.sum()
