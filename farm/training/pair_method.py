"""Methods made of one function: a loss on pairs.

The loss takes the log-probabilities of both responses under the policy and under a frozen reference, if the
method has one, and the numbers of their tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from farm.config import TrainConfig, option
from farm.models.ops import in_order, masked_sum
from farm.models.policy import Policy
from farm.models.tokens import Tokens
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair
from farm.training.feed import PreparedFeed, pairs
from farm.training.method import DataKind, Loss, Method, Models, Need, SequenceLogps, Stats

C = TypeVar("C", bound=TrainConfig)
C_contra = TypeVar("C_contra", bound=TrainConfig, contravariant=True)


class PairConfig(TrainConfig):
    """AlpacaFarm's for DPO: 2 epochs of batches of 64 at 1e-6."""

    epochs: float = 2.0
    batch_size: int = 64
    """Pairs per optimizer step, over all processes."""
    learning_rate: float = 1e-6


class BetaConfig(PairConfig):
    """The same, with a β of 0.1."""

    beta: float = option(0.1, above=0)
    """Factor on log-probabilities: the temperature of the implicit reward."""


class PairLogps(NamedTuple):
    """log π(y|x) of both responses, summed over their tokens, the end of sequence included: (B,) each."""

    chosen: Tensor
    rejected: Tensor


class ReferencedPairs(NamedTuple):
    """Pairs with their log-probabilities under the reference; 0 for a method without one."""

    pairs: PairBatch
    reference: PairLogps

    @property
    def weight(self) -> Tensor:
        """Number of pairs."""
        return self.pairs.weight


class RatedResponses(NamedTuple):
    """A response to each of B prompts. Log-probabilities are sums over its tokens, in nats: (B,) each."""

    logps: Tensor  # log π_θ(y|x)
    reference: Tensor | float  # log π_ref(y|x); 0 without a reference
    length: Tensor  # |y|, tokens of the response, the end of sequence included

    @property
    def log_ratio(self) -> Tensor:
        """log π_θ(y|x) / π_ref(y|x): (B,)."""
        return self.logps - self.reference

    @property
    def mean(self) -> Tensor:
        """log π_θ(y|x) / |y|, in nats a token: (B,)."""
        return self.logps / self.length

    def nll(self, per_token: bool) -> Tensor:
        """−log π_θ(y|x) of the whole response, or its mean over the response's tokens: (B,)."""
        return -self.mean if per_token else -self.logps


class RatedPairs(NamedTuple):
    """What a loss on pairs sees: both responses, and P(chosen preferred) in [0, 1]; a tie is ½."""

    chosen: RatedResponses
    rejected: RatedResponses
    preference: Tensor | float

    @property
    def gap(self) -> Tensor:
        """log π_θ/π_ref of the chosen response minus that of the rejected one, in nats: (B,)."""
        return self.chosen.log_ratio - self.rejected.log_ratio

    @property
    def mean_gap(self) -> Tensor:
        """The same with each log-ratio divided by the number of its response's tokens: (B,)."""
        chosen, rejected = self.chosen, self.rejected
        return chosen.log_ratio / chosen.length - rejected.log_ratio / rejected.length


class PairLoss(Protocol[C_contra]):
    """Loss of each pair: (B,)."""

    def __call__(self, rated: RatedPairs, config: C_contra, /) -> Tensor: ...


def both_ways(loss: PairLoss[C]) -> PairLoss[C]:
    """The loss L(w, l) for soft preferences: p L(w, l) + (1 − p) L(l, w), with p = P(w preferred).

    This is the mean over votes of which a share p prefers w. A tie is ½, and its loss is the same whichever
    response is called chosen.
    """

    def weighed(rated: RatedPairs, config: C) -> Tensor:
        turned = rated._replace(chosen=rated.rejected, rejected=rated.chosen)
        return rated.preference * loss(rated, config) + (1 - rated.preference) * loss(turned, config)

    return weighed


def implicit_reward(responses: RatedResponses, config: Any) -> Tensor:
    """β log π/π_ref: (B,). config: one with `beta`."""
    return config.beta * responses.log_ratio  # type: ignore[no-any-return]


@dataclass(frozen=True)
class PairTrainer(Generic[C]):
    """Trainer of a method made of a loss on pairs: `DPO = PairTrainer(DPOConfig, dpo_loss)`.

    reward: the reward of responses to log. needs: () for a method without a reference.
    """

    Config: type[C]
    loss: PairLoss[C]
    reward: Callable[[RatedResponses, C], Tensor] = implicit_reward
    needs: tuple[Need, ...] = ("reference",)
    data_kind: DataKind = "pairs"

    def __call__(self, config: C, data: Data[PreferencePair], models: Models) -> PairMethod[C]:
        return PairMethod(config, self, data, models)


class PairMethod(Method[ReferencedPairs], Generic[C]):
    """The method in a run. The reference rates each pair once, and its log-probabilities are kept."""

    def __init__(
        self, config: C, trainer: PairTrainer[C], data: Data[PreferencePair], models: Models
    ) -> None:
        self.config, self._trainer = config, trainer
        self.policy = self.product = models.policy()
        self.trained: nn.Module = self.policy
        self.reference = models.reference_logps() if "reference" in trainer.needs else no_reference
        self.pairs = pairs(data, self.policy.codec, config, self.policy.device)
        self.feed = PreparedFeed(self.pairs, self.with_reference)

    def with_reference(self, step: Sequence[PairBatch]) -> list[ReferencedPairs]:
        """The batches of a step with log-probabilities under the reference."""
        return [with_reference(batch, self.reference) for batch in step]

    def logps(self, batch: PairBatch) -> PairLogps:
        """Log-probabilities of both responses under the policy: (B,) each."""
        return pair_logps(self.policy, batch)

    def loss(self, batch: ReferencedPairs) -> Loss:
        """The mean loss over the B pairs of a batch."""
        rated = rated_pairs(self.logps(batch.pairs), batch)
        losses = self._trainer.loss(rated, self.config)
        rewards = [self._trainer.reward(side, self.config) for side in (rated.chosen, rated.rejected)]
        return Loss(losses.mean(), pair_stats(rated, PairLogps(*rewards)))


def pair_logps(policy: Policy, batch: PairBatch) -> PairLogps:
    """Log-probabilities of both responses of each pair, in one pass: (B,) each, in nats."""
    tokens = batch.both
    return PairLogps(*masked_sum(policy(tokens), tokens.mask).chunk(2))


def with_reference(batch: PairBatch, reference: SequenceLogps) -> ReferencedPairs:
    """The pairs with their log-probabilities under the reference: (B,) each."""
    return ReferencedPairs(batch, PairLogps(*reference(batch.both).chunk(2)))


def no_reference(tokens: Tokens) -> Tensor:
    """The reference of a method without one: 0 for each row, (B,)."""
    return torch.zeros(len(tokens.ids), device=tokens.ids.device)


def rated_pairs(policy: PairLogps, batch: ReferencedPairs) -> RatedPairs:
    """Both sides of a batch as a loss sees them. policy: log-probabilities under the policy."""
    sides = [
        RatedResponses(logps, reference, tokens.mask.sum(-1))
        for logps, reference, tokens in zip(policy, batch.reference, batch.pairs[:2], strict=True)
    ]
    return RatedPairs(sides[0], sides[1], batch.pairs.preference)


def pair_stats(rated: RatedPairs, rewards: PairLogps) -> Stats:
    """Means of the rewards, (B,) each, and of the log-probabilities in nats.

    accuracies: share of pairs in the right order (`farm.models.ops.in_order`).
    """
    chosen, rejected = rewards.chosen.detach(), rewards.rejected.detach()
    preference = torch.as_tensor(rated.preference, device=chosen.device)
    return {
        "rewards/chosen": chosen.mean(),
        "rewards/rejected": rejected.mean(),
        "rewards/margins": (chosen - rejected).mean(),
        "rewards/accuracies": in_order(chosen - rejected, preference).mean(),
        "logps/chosen": rated.chosen.logps.detach().mean(),
        "logps/rejected": rated.rejected.logps.detach().mean(),
    }
