"""The batches that losses take. Each has a weight: the number of units that its loss is a mean over.

A row is a prompt followed by a response. `mask` is 1 on the response's tokens, its end-of-sequence token
included, and 0 on prompt and padding. Tensors of shape (B, T) are aligned with `ids`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from farm.models.tokens import Prompt, Tokens


class Batch(Protocol):
    """Whatever a method's loss takes. The loss is a mean over `weight` units: tokens, outputs or pairs."""

    @property
    def weight(self) -> Tensor:
        """Number of units: a scalar."""
        ...


class PairBatch(NamedTuple):
    """Pairs of responses to one prompt each; `chosen` has a preference of a half or more."""

    chosen: Tokens
    rejected: Tokens
    preference: Tensor  # (B,) P(chosen preferred) in [½, 1]
    strength: Tensor  # (B,) how much better chosen is, a share of its scale in [0, 1]; 0 where unknown

    @property
    def weight(self) -> Tensor:
        """Number of pairs."""
        return torch.tensor(self.preference.shape[0])

    @property
    def both(self) -> Tokens:
        """The chosen rows, then the rejected ones, for one pass over both."""
        return stacked(self.chosen, self.rejected)


def stacked(first: Tokens, second: Tokens) -> Tokens:
    """The rows of both, the narrower ones filled up at the right."""
    width = max(first.ids.shape[1], second.ids.shape[1])
    halves = [
        [pad(each, (0, width - each.shape[1])) for each in side if each is not None]
        for side in (first, second)
    ]
    return Tokens(*map(torch.cat, zip(*halves, strict=True)))


def rows_in(batch: object) -> Iterator[Tokens]:
    """The rows of tokens that a batch, a nested tuple, holds."""
    if isinstance(batch, Tokens):
        yield batch
    elif isinstance(batch, tuple):
        for each in batch:
            yield from rows_in(each)


def tokens_of(batch: object) -> Tensor:
    """Number of prompt and response tokens in the rows of a batch: a scalar, on their device."""
    found = []
    for ids, mask, attention in rows_in(batch):
        columns = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        ends = (mask * columns).amax(-1)
        first = 0 if attention is None else attention.int().argmax(-1)
        found.append((ends - first).sum())
    return torch.stack(found).sum() if found else torch.tensor(0)


class JudgedBatch(NamedTuple):
    """Outputs that were judged one by one."""

    tokens: Tokens
    label: Tensor  # (B,) in [0, 1]: 1 is good, 0 is bad

    @property
    def weight(self) -> Tensor:
        """Number of outputs."""
        return torch.tensor(self.label.shape[0])


class GroupBatch(NamedTuple):
    """Groups of outputs, each to one prompt. Rows of a group stand together, and no group is divided."""

    tokens: Tokens  # B rows
    score: Tensor  # (B,) higher is better, comparable within a group
    group: Tensor  # (B,) int64: which group of the batch a row belongs to, from 0

    @property
    def weight(self) -> Tensor:
        """Number of groups."""
        return self.group[-1] + 1


class PromptBatch(NamedTuple):
    """Prompts to respond to."""

    prompts: list[Prompt]

    @property
    def weight(self) -> Tensor:
        """Number of prompts."""
        return torch.tensor(len(self.prompts))


class Rollout(NamedTuple):
    """Responses drawn from the policy, with what other models say about them."""

    tokens: Tokens
    logps: Tensor  # (B, T) under the policy that drew them
    ref_logps: Tensor | None  # (B, T); None for a method that needs no reference
    values: Tensor  # (B, T)
    score: Tensor  # (B,)
    ended: Tensor  # (B,) bool: the response ended by itself, with an end-of-sequence token
    disagreement: Tensor | None = None  # (B,) among the members of an ensemble of reward models
    decoupled: Tensor | None = None  # (B,) what several rewards say of it, each on a scale of its own
    preferences: Tensor | None = None  # (B, K) what a judge said of it: P(preferred), NaN for nothing
    passes: Tensor | None = None  # (B,) bool: every judge that constrains it accepts the response
    sampler_logps: Tensor | None = None  # (B, T) under the weights of the server that drew it, if one did

    @property
    def reference(self) -> Tensor:
        """ref_logps, for a method that needs a reference: (B, T)."""
        assert self.ref_logps is not None
        return self.ref_logps
