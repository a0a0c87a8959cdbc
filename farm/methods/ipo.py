"""Identity preference optimisation.  Gheshlaghi Azar et al. 2023, arXiv 2310.12036.

    L(θ) = E ( h − 1/(2τ) )²,   h = log π_θ(y_w|x)/π_ref(y_w|x) − log π_θ(y_l|x)/π_ref(y_l|x)    (eq. 17)

paper   code               differs from the paper
τ       config.tau
h       a difference of sums over tokens, as in the paper; length_normalised: of means over tokens, as in TRL
E       a preference p < 1 weighs both directions, p (h − 1/2τ)² + (1 − p) (h + 1/2τ)²; a tie is ½
"""

from __future__ import annotations

from torch import Tensor

from farm.config import option
from farm.training.pair_method import PairConfig, PairTrainer, RatedPairs, RatedResponses, both_ways


class IPOConfig(PairConfig):
    """As DPO's."""

    tau: float = option(0.1, above=0)
    """How strongly the policy is held to the reference: log-ratios are drawn towards 1 / (2 tau)."""
    length_normalised: bool = False
    """Divide each response's log-ratio by its number of tokens, as TRL does and the paper does not."""


def ipo_loss(pairs: RatedPairs, config: IPOConfig) -> Tensor:
    """Loss of each pair, were the chosen response sure to win: (B,). Gheshlaghi Azar et al. 2023, eq. 17."""
    gap = pairs.mean_gap if config.length_normalised else pairs.gap
    return (gap - 1 / (2 * config.tau)).square()


def reward(responses: RatedResponses, config: IPOConfig) -> Tensor:
    """τ log π/π_ref, to log: (B,)."""
    return config.tau * responses.log_ratio


IPO = PairTrainer(IPOConfig, both_ways(ipo_loss), reward)
"""Identity preference optimisation (Gheshlaghi Azar et al. 2023)."""
