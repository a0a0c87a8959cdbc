"""Identity preference optimisation.  Gheshlaghi Azar et al. 2023, arXiv 2310.12036.

    L(θ) = E ( h − 1/(2τ) )²,   h = log π_θ(y_w|x)/π_ref(y_w|x) − log π_θ(y_l|x)/π_ref(y_l|x)    (eq. 17)

paper   code               differs from the paper
τ       config.tau
h       a difference of sums over tokens, as in the paper; length_normalised: of means over tokens, as in TRL
E       a preference p < 1 weighs both directions, p (h − 1/2τ)² + (1 − p) (h + 1/2τ)²; a tie is ½
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor

from farm.config import TrainConfig, option
from farm.methods.dpo import PairLogps, ReferencedPairs, pair_logps, pair_stats, with_reference
from farm.training.data import Data, PreferencePair, pairs
from farm.training.method import DataKind, Loss, Models, PairBatch


class IPOConfig(TrainConfig):
    """As DPO's."""

    epochs: float = 2.0
    batch_size: int = 64
    """Pairs per optimizer step, over all processes."""
    learning_rate: float = 1e-6
    tau: float = option(0.1, above=0)
    """How strongly the policy is held to the reference: log-ratios are drawn towards 1 / (2 tau)."""
    length_normalised: bool = False
    """Divide each response's log-ratio by its number of tokens, as TRL does and the paper does not."""


def ipo_loss(policy: PairLogps, reference: PairLogps, preference: Tensor | float, tau: float) -> Tensor:
    """Loss of each pair: (B,)."""
    gap = (policy.chosen - reference.chosen) - (policy.rejected - reference.rejected)
    target = 1 / (2 * tau)
    return preference * (gap - target).square() + (1 - preference) * (gap + target).square()


def per_token(logps: PairLogps, batch: PairBatch) -> PairLogps:
    """Means over response tokens in place of sums."""
    return PairLogps(logps.chosen / batch.chosen.mask.sum(-1), logps.rejected / batch.rejected.mask.sum(-1))


class IPO:
    """Identity preference optimisation (Gheshlaghi Azar et al. 2023)."""

    Config: ClassVar[type[IPOConfig]] = IPOConfig
    data_kind: ClassVar[DataKind] = "pairs"
    rollout_steps = 1

    def __init__(self, config: IPOConfig, data: Data[PreferencePair], models: Models) -> None:
        self.config = config
        self.policy = self.trained = self.product = models.policy()
        self.reference = models.reference_logps()
        self.source = pairs(data, self.policy.codec, config, self.policy.device)
        self.steps = self.source.steps

    def batches(self, start: int) -> Iterator[list[ReferencedPairs]]:
        for step in self.source.batches(start):
            yield [with_reference(batch, self.reference) for batch in step]

    def held_out(self) -> Iterator[ReferencedPairs]:
        for batch in self.source.held_out():
            yield with_reference(batch, self.reference)

    def loss(self, batch: ReferencedPairs) -> Loss:
        policy, reference = pair_logps(self.policy, batch.pairs), batch.reference
        stats = pair_stats(policy, reference, self.config.tau)
        if self.config.length_normalised:
            policy, reference = per_token(policy, batch.pairs), per_token(reference, batch.pairs)
        return Loss(ipo_loss(policy, reference, batch.pairs.preference, self.config.tau).mean(), stats)
