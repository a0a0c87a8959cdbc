"""Direct preference optimisation.  Rafailov et al. 2023, arXiv 2305.18290.

    L(θ) = −E log σ( β log π_θ(y_w|x)/π_ref(y_w|x) − β log π_θ(y_l|x)/π_ref(y_l|x) )        (eq. 7)

paper   code               differs from the paper
β       config.beta
y_w     policy.chosen      label_smoothing > 0 gives conservative DPO (Mitchell 2023, eq. 3)
y_l     policy.rejected    a preference p < 1 weighs both directions, p L(w, l) + (1 − p) L(l, w); a tie is ½
π_ref   batch.reference    its log-probabilities are computed once for each row and kept
"""

from __future__ import annotations

from torch import Tensor

from farm.config import TrainConfig, option
from farm.models.ops import preference_loss
from farm.training.method import Loss
from farm.training.pair_method import PairLogps, PairTrainer, ReferencedPairs, pair_stats


class DPOConfig(TrainConfig):
    """AlpacaFarm's: 2 epochs of batches of 64 at 1e-6, β 0.1."""

    epochs: float = 2.0
    batch_size: int = 64
    """Pairs per optimizer step, over all processes."""
    learning_rate: float = 1e-6
    beta: float = option(0.1, above=0)
    """How strongly the policy is held to the reference: the temperature of the implicit reward."""
    label_smoothing: float = option(0.0, at_least=0, below=0.5)
    """Assumed share of labels that are the wrong way round."""


def dpo_loss(
    policy: PairLogps, reference: PairLogps, preference: Tensor | float, beta: float, smoothing: float = 0.0
) -> Tensor:
    """Loss of each pair: (B,). Rafailov et al. 2023, eq. 7; smoothing: Mitchell 2023, eq. 3.

    preference: P(chosen preferred) in [0, 1], (B,) or one number. beta: factor on the log-ratios.
    """
    chosen = beta * (policy.chosen - reference.chosen)  # implicit reward of y_w
    rejected = beta * (policy.rejected - reference.rejected)  # implicit reward of y_l
    smoothed = preference * (1 - smoothing) + (1 - preference) * smoothing
    return preference_loss(chosen - rejected, smoothed)


def loss(policy: PairLogps, batch: ReferencedPairs, config: DPOConfig) -> Loss:
    """Mean loss over the B pairs of a batch, with the implicit rewards to log."""
    preference = batch.pairs.preference
    losses = dpo_loss(policy, batch.reference, preference, beta=config.beta, smoothing=config.label_smoothing)
    return Loss(losses.mean(), pair_stats(policy, batch, config.beta))


DPO = PairTrainer(DPOConfig, loss)
"""Direct preference optimisation (Rafailov et al. 2023)."""
