"""Methods made of one function: a loss on the outputs of one prompt together, held to a frozen reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from farm.config import TrainConfig, option
from farm.models.ops import masked_sum
from farm.training.batches import GroupBatch
from farm.training.data import Data, OutputGroup
from farm.training.feed import PreparedFeed, groups
from farm.training.method import DataKind, Loss, Method, Models, Need

C = TypeVar("C", bound="GroupConfig")
C_contra = TypeVar("C_contra", bound=TrainConfig, contravariant=True)


class GroupConfig(TrainConfig):
    """As DPO's, in groups: 2 epochs of batches of 32 at 1e-6, β 0.1."""

    epochs: float = 2.0
    batch_size: int = 32
    """Groups per optimizer step, over all processes. No group is divided."""
    learning_rate: float = 1e-6
    beta: float = option(0.1, above=0)
    """Factor on log-ratios: the temperature of the implicit reward."""


class TargetConfig(GroupConfig):
    """The same, with scores made into a distribution over the outputs of a group."""

    temperature: float = option(0.1, above=0)
    """Temperature of the softmax of the scores, which are win rates or labels in [0, 1]."""


class ReferencedGroups(NamedTuple):
    """Groups with the log-probabilities of their outputs under the reference."""

    groups: GroupBatch
    reference: Tensor  # (B,)

    @property
    def weight(self) -> Tensor:
        """Number of groups."""
        return self.groups.weight


class RatedGroups(NamedTuple):
    """What a loss on groups sees: G groups, filled up to the K outputs of the largest. (G, K) each."""

    log_ratio: Tensor  # log π_θ(y|x) / π_ref(y|x) in nats, 0 where filled up
    score: Tensor  # higher is better; comparable within a group
    there: Tensor  # bool, False where filled up

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the outputs of each group: (G, K) -> (G,)."""
        return masked_sum(values, self.there)

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the outputs of each group: (G, K) -> (G,)."""
        return self.sum(values) / self.there.sum(-1)

    def log_softmax(self, values: Tensor) -> Tensor:
        """log softmax over the outputs of each group, (G, K); a large negative number where filled up."""
        return values.masked_fill(~self.there, -1e9).log_softmax(-1)

    @property
    def above(self) -> Tensor:
        """Whether output i has a higher score than output j: (G, K, K) bool."""
        both = self.there[:, :, None] & self.there[:, None, :]
        return both & (self.score[:, :, None] > self.score[:, None, :])


class GroupLoss(Protocol[C_contra]):
    """Loss of each group: (G,)."""

    def __call__(self, rated: RatedGroups, config: C_contra, /) -> Tensor: ...


@dataclass(frozen=True)
class GroupTrainer(Generic[C]):
    """Trainer of a method made of a loss on groups: `LiPO = GroupTrainer(LiPOConfig, lipo_loss)`."""

    Config: type[C]
    loss: GroupLoss[C]
    needs: tuple[Need, ...] = ("reference",)
    data_kind: DataKind = "groups"

    def __call__(self, config: C, data: Data[OutputGroup], models: Models) -> GroupMethod[C]:
        return GroupMethod(config, self, data, models)


class GroupMethod(Method[ReferencedGroups], Generic[C]):
    """The method in a run. The reference rates each output once, and its log-probabilities are kept."""

    def __init__(self, config: C, trainer: GroupTrainer[C], data: Data[OutputGroup], models: Models) -> None:
        self.config, self._trainer = config, trainer
        self.policy = self.trained = self.product = models.policy()
        self.reference = models.reference_logps()
        made = groups(data, self.policy.codec, config, self.policy.device)
        self.feed = PreparedFeed(made, self.with_reference)

    def with_reference(self, step: Sequence[GroupBatch]) -> list[ReferencedGroups]:
        """The batches of a step with log-probabilities under the reference."""
        return [ReferencedGroups(batch, self.reference(batch.tokens)) for batch in step]

    def loss(self, batch: ReferencedGroups) -> Loss:
        """The mean loss over the G groups of a batch."""
        of = batch.groups
        logps = masked_sum(self.policy(of.tokens), of.tokens.mask)
        rated = rated_groups(logps - batch.reference, of.score, of.group)
        losses = self._trainer.loss(rated, self.config)
        return Loss(
            losses.mean(), group_stats(rated, self.config.beta) | {"logps/response": logps.detach().mean()}
        )


def rated_groups(log_ratio: Tensor, score: Tensor, group: Tensor) -> RatedGroups:
    """The outputs of each group in a row of their own: (B,) each. group: see GroupBatch."""
    sizes = group.bincount()
    there = torch.arange(int(sizes.max()), device=group.device) < sizes[:, None]
    filled = (torch.zeros(there.shape, dtype=of.dtype, device=of.device) for of in (log_ratio, score))
    ratios, scores = (
        empty.masked_scatter(there, of) for empty, of in zip(filled, (log_ratio, score), strict=True)
    )
    return RatedGroups(ratios, scores, there)


def group_stats(rated: RatedGroups, beta: float) -> dict[str, Tensor]:
    """Mean reward of an output; and of the pairs with different scores, by group, the mean margin of the
    rewards and the share in the right order, where equal rewards count a half."""
    reward = beta * rated.log_ratio.detach()
    margin, above = reward[:, :, None] - reward[:, None, :], rated.above
    pairs = above.sum((1, 2)).clamp(min=1)

    def by_group(values: Tensor) -> Tensor:
        return ((values * above).sum((1, 2)) / pairs).mean()

    return {
        "rewards/mean": rated.mean(reward).mean(),
        "rewards/margins": by_group(margin),
        "rewards/accuracies": by_group(0.5 + 0.5 * margin.double().sign()),
    }
