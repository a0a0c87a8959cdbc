"""Methods made of one function: a loss on pairs.

The loss takes log-probabilities of both responses under the policy and under a frozen reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from torch import Tensor

from farm.config import TrainConfig
from farm.models.ops import in_order, masked_sum
from farm.models.policy import Policy
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair
from farm.training.feed import PreparedFeed, pairs
from farm.training.method import DataKind, Loss, Method, Models, SequenceLogps, Stats

C = TypeVar("C", bound=TrainConfig)
C_contra = TypeVar("C_contra", bound=TrainConfig, contravariant=True)


class PairLogps(NamedTuple):
    """log π(y|x) of both responses, summed over their tokens, the end of sequence included: (B,) each."""

    chosen: Tensor
    rejected: Tensor


class ReferencedPairs(NamedTuple):
    """Pairs with their log-probabilities under the reference."""

    pairs: PairBatch
    reference: PairLogps

    @property
    def weight(self) -> Tensor:
        """Number of pairs."""
        return self.pairs.weight


class PairLoss(Protocol[C_contra]):
    """Loss of a batch. policy: log-probabilities of its responses under the policy."""

    def __call__(self, policy: PairLogps, batch: ReferencedPairs, config: C_contra, /) -> Loss: ...


@dataclass(frozen=True)
class PairTrainer(Generic[C]):
    """Trainer of a method made of a loss on pairs: `DPO = PairTrainer(DPOConfig, loss)`."""

    Config: type[C]
    loss: PairLoss[C]
    data_kind: DataKind = "pairs"

    def __call__(self, config: C, data: Data[PreferencePair], models: Models) -> PairMethod[C]:
        return PairMethod(config, self.loss, data, models)


class PairMethod(Method[ReferencedPairs], Generic[C]):
    """The method in a run. The reference rates each pair once, and its log-probabilities are kept."""

    def __init__(self, config: C, loss: PairLoss[C], data: Data[PreferencePair], models: Models) -> None:
        self.config, self._loss = config, loss
        self.policy = self.trained = self.product = models.policy()
        self.reference = models.reference_logps()
        self.feed = PreparedFeed(
            pairs(data, self.policy.codec, config, self.policy.device),
            lambda step: [with_reference(batch, self.reference) for batch in step],
        )

    def loss(self, batch: ReferencedPairs) -> Loss:
        """The mean loss over the B pairs of a batch."""
        return self._loss(pair_logps(self.policy, batch.pairs), batch, self.config)


def pair_logps(policy: Policy, batch: PairBatch) -> PairLogps:
    """Log-probabilities of both responses of each pair, in one pass: (B,) each, in nats."""
    tokens = batch.both
    return PairLogps(*masked_sum(policy(tokens), tokens.mask).chunk(2))


def with_reference(batch: PairBatch, reference: SequenceLogps) -> ReferencedPairs:
    """The pairs with their log-probabilities under the reference: (B,) each."""
    return ReferencedPairs(batch, PairLogps(*reference(batch.both).chunk(2)))


def pair_stats(policy: PairLogps, batch: ReferencedPairs, beta: float) -> Stats:
    """Means of the implicit rewards β log π/π_ref, in nats, and of the log-probabilities.

    accuracies: share of pairs in the right order (`farm.models.ops.in_order`).
    """
    reference = batch.reference
    policy = PairLogps(policy.chosen.detach(), policy.rejected.detach())
    chosen = beta * (policy.chosen - reference.chosen)
    rejected = beta * (policy.rejected - reference.rejected)
    return {
        "rewards/chosen": chosen.mean(),
        "rewards/rejected": rejected.mean(),
        "rewards/margins": (chosen - rejected).mean(),
        "rewards/accuracies": in_order(chosen - rejected, batch.pairs.preference).mean(),
        "logps/chosen": policy.chosen.mean(),
        "logps/rejected": policy.rejected.mean(),
    }
