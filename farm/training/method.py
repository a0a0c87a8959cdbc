"""What a method is: batches to learn from, and a loss on each. Everything else is the shared loop's.

A row is a prompt followed by a response; `mask` is 1 on the response's tokens, its end-of-sequence token
included, and 0 on prompt and padding. Tensors of shape (B, T) are aligned with `ids`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from farm.models.tokens import Prompt, Tokens

if TYPE_CHECKING:
    from pathlib import Path

    from farm.config import TrainConfig
    from farm.models.policy import Policy
    from farm.models.scorer import Scorer

DataKind: TypeAlias = Literal["demonstrations", "pairs", "instructions"]
"""The records that a method learns from."""

Stats: TypeAlias = Mapping[str, Tensor]
"""Name -> detached scalar; the loop averages them by the weight of their batches."""


class PairBatch(NamedTuple):
    """Pairs of responses to one prompt each; `chosen` is the one with preference of a half or more."""

    chosen: Tokens
    rejected: Tokens
    preference: Tensor  # (B,) P(chosen preferred) in [½, 1]
    margin: Tensor  # (B,) by how much the chosen one should lead, in units of the score; 0 where unknown

    @property
    def weight(self) -> Tensor:
        """Number of pairs."""
        return torch.tensor(self.preference.shape[0])

    @property
    def both(self) -> Tokens:
        """The chosen rows and then the rejected ones, for one pass over both."""
        width = max(self.chosen.ids.shape[1], self.rejected.ids.shape[1])
        halves = [
            [pad(each, (0, width - each.shape[1])) for each in side if each is not None]
            for side in (self.chosen, self.rejected)
        ]
        return Tokens(*map(torch.cat, zip(*halves, strict=True)))


class Rollout(NamedTuple):
    """Responses drawn from the policy, with what other models say of them."""

    tokens: Tokens
    logps: Tensor  # (B, T) under the policy that drew them
    ref_logps: Tensor  # (B, T)
    values: Tensor  # (B, T)
    score: Tensor  # (B,)
    ended: Tensor  # (B,) bool: stopped by itself, with an end-of-sequence token


class Experience(NamedTuple):
    """A rollout with advantages."""

    rollout: Rollout
    advantages: Tensor  # (B, T)
    returns: Tensor  # (B, T)

    @property
    def weight(self) -> Tensor:
        """Number of response tokens."""
        return self.rollout.tokens.mask.sum()


class Batch(Protocol):
    """Whatever a method's loss takes. The loss is a mean over `weight` units: tokens or pairs."""

    @property
    def weight(self) -> Tensor: ...


class Loss(NamedTuple):
    """The mean loss over a batch's weight, and what to log of it."""

    loss: Tensor  # scalar
    stats: Stats


class RewardFn(Protocol):
    """A reward model, a gold reward model or a rule: (B,) scores, higher is better."""

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor: ...


class SequenceLogps(Protocol):
    """Sum of a frozen model's log-probabilities over each row's response tokens: Tokens -> (B,)."""

    def __call__(self, tokens: Tokens) -> Tensor: ...


class Product(Protocol):
    """What a run is for: a model that transformers loads by itself."""

    def save(self, directory: Path | None) -> None:
        """Write it. None: only take part in gathering it, on a process other than the first."""
        ...


class Models(Protocol):
    """The models a method may ask for; each call gives a fresh one, but for the frozen, which are shared."""

    def policy(self) -> Policy: ...
    def reference(self) -> Policy: ...
    def reference_logps(self) -> SequenceLogps: ...
    def scorer(self) -> Scorer: ...
    def value(self) -> Scorer: ...
    def reward(self) -> RewardFn: ...


class Method(Protocol):
    """A training method, built as Method(config, data, models) with the records of its data kind."""

    Config: ClassVar[type[TrainConfig]]
    data_kind: ClassVar[DataKind]  # what farm/train.py must fetch
    trained: nn.Module  # what the optimizer sees; all that changes in training is in its state_dict
    product: Product  # what is saved for use
    steps: int  # optimizer steps in the whole run
    rollout_steps: int  # optimizer steps between points where `trained` is all there is to save; 1 offline

    def batches(self, start: int) -> Iterator[Sequence[Batch]]:
        """From step `start` on, one step at a time: the batches whose gradients are added up in it.

        Lazy: nothing is drawn before the loop asks, so a batch that comes from the policy comes from
        the policy as it then is. A function of (config, data, models, start) alone.
        """
        ...

    def loss(self, batch: Any) -> Loss: ...

    def held_out(self) -> Iterator[Batch]:
        """Batches to evaluate the loss on during training; none if nothing was held out."""
        ...


class Trainer(Protocol):
    """The class of a method."""

    Config: ClassVar[type[TrainConfig]]
    data_kind: ClassVar[DataKind]

    def __call__(self, config: Any, data: Any, models: Models) -> Method: ...
