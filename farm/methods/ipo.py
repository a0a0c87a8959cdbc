"""Identity preference optimisation.  Gheshlaghi Azar et al. 2023, arXiv 2310.12036.

    L(θ) = E ( h − 1/(2τ) )²,   h = log π_θ(y_w|x)/π_ref(y_w|x) − log π_θ(y_l|x)/π_ref(y_l|x)    (eq. 17)

paper   code               differs from the paper
τ       config.tau
h       a difference of sums over tokens, as in the paper; length_normalised: of means over tokens, as in TRL
E       a preference p < 1 weighs both directions, p (h − 1/2τ)² + (1 − p) (h + 1/2τ)²; a tie is ½
"""

from __future__ import annotations

from torch import Tensor

from farm.config import TrainConfig, option
from farm.training.batches import PairBatch
from farm.training.method import Loss
from farm.training.pair_method import PairLogps, PairTrainer, ReferencedPairs, pair_stats


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
    """Loss of each pair: (B,). Gheshlaghi Azar et al. 2023, eq. 17.

    preference: P(chosen preferred) in [0, 1], (B,) or one number. The target is 1/(2 tau) nats.
    """
    gap = (policy.chosen - reference.chosen) - (policy.rejected - reference.rejected)
    target = 1 / (2 * tau)
    return preference * (gap - target).square() + (1 - preference) * (gap + target).square()


def per_token(logps: PairLogps, batch: PairBatch) -> PairLogps:
    """Means over response tokens in place of sums: (B,) each."""
    return PairLogps(logps.chosen / batch.chosen.mask.sum(-1), logps.rejected / batch.rejected.mask.sum(-1))


def loss(policy: PairLogps, batch: ReferencedPairs, config: IPOConfig) -> Loss:
    """Mean loss over the B pairs of a batch, with the implicit rewards to log."""
    reference, stats = batch.reference, pair_stats(policy, batch, config.tau)
    if config.length_normalised:
        policy, reference = per_token(policy, batch.pairs), per_token(reference, batch.pairs)
    return Loss(ipo_loss(policy, reference, batch.pairs.preference, config.tau).mean(), stats)


IPO = PairTrainer(IPOConfig, loss)
"""Identity preference optimisation (Gheshlaghi Azar et al. 2023)."""
