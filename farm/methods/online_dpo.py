"""Online direct preference optimisation.  Guo et al. 2024, arXiv 2402.04792 (OAIF).

    y, y' ~ π_θ(·|x),   a judge prefers y_w to y_l                                          (algorithm 1)
    L(θ) = −E log σ( β log π_θ(y_w|x)/π_ref(y_w|x) − β log π_θ(y_l|x)/π_ref(y_l|x) )        (eq. 1)

paper   code               differs from the paper
β       config.beta
judge   models.judge()     an annotator of the ledger, or a reward model by its scores
y_w     config.hard        the likelier side, as in the paper; a tie is ½, where TRL takes the first draw.
                           false: p L(w, l) + (1 − p) L(l, w) with the judge's own probability p
π_θ     temperature        also of the log-probabilities; the paper does not say of which
L       one step           on each rollout; DPO needs no ratio, so more minibatches are allowed
"""

from __future__ import annotations

from torch import Tensor

from farm.models.ops import preference_loss
from farm.training.fresh_pairs import FreshConfig, FreshTrainer, hardened
from farm.training.pair_method import RatedPairs


class OnlineDPOConfig(FreshConfig):
    """The paper's: temperature 0.9, β 0.1, 128 prompts a rollout. The learning rate is TRL's."""

    temperature: float = 0.9
    """Logits are divided by it, in draws and in log-probabilities."""
    learning_rate: float = 5e-7
    hard: bool = True
    """Take the side that the judge likelier prefers for the better one; false: use its probability."""


def online_dpo_loss(pairs: RatedPairs, config: OnlineDPOConfig) -> Tensor:
    """Loss of each pair: (B,). Guo et al. 2024, eq. 1; a tie weighs both directions by a half."""
    p = hardened(pairs.preference) if config.hard else pairs.preference
    return preference_loss(config.beta * pairs.gap, p)


OnlineDPO = FreshTrainer(OnlineDPOConfig, online_dpo_loss)
"""Online direct preference optimisation (Guo et al. 2024)."""
