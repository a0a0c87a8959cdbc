"""DiscoPOP, a loss that a language model found.  Lu et al. 2024, arXiv 2406.08414.

    L(θ) = E [ (1 − w) · −log σ(βh) + w · exp(−βh) ],   w = σ(βh/τ)                           (eq. 5)
    h    = log π_θ(y_w|x)/π_ref(y_w|x) − log π_θ(y_l|x)/π_ref(y_l|x)

paper   code               differs from the paper
τ       config.tau
w       weight             σ(βh/τ), as in TRL; the authors' first version had σ(h)
E       both_ways          a preference p < 1 weighs both directions; a tie is ½
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from farm.config import option
from farm.training.pair_method import BetaConfig, PairTrainer, RatedPairs, both_ways


class DiscoPOPConfig(BetaConfig):
    """The paper's β and τ; the rest as DPO's."""

    beta: float = 0.05
    tau: float = option(0.05, above=0)
    """Temperature of the weight between the two losses."""


def discopop_loss(pairs: RatedPairs, config: DiscoPOPConfig) -> Tensor:
    """Loss of each pair: (B,). Lu et al. 2024, eq. 5. It is not convex near 0."""
    margin = config.beta * pairs.gap
    weight = (margin / config.tau).sigmoid()
    return -(1 - weight) * logsigmoid(margin) + weight * (-margin).exp()


DiscoPOP = PairTrainer(DiscoPOPConfig, both_ways(discopop_loss))
"""Discovered preference optimisation (Lu et al. 2024)."""
