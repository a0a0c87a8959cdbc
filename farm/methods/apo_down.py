"""APO-down: both responses become less likely.  D'Oosterlinck et al. 2024, arXiv 2408.06266.

    L(θ) = E [ σ( β c ) + 1 − σ( β c − β r ) ]                                                 (eq. 8)
    c    = log π_θ(y_w|x)/π_ref(y_w|x),   r = log π_θ(y_l|x)/π_ref(y_l|x)

paper   code               differs from the paper
1       1                  TRL's constant, which keeps the loss above 0 and changes no gradient
E       both_ways          a preference p < 1 weighs both directions; a tie is ½
"""

from __future__ import annotations

from torch import Tensor

from farm.training.pair_method import BetaConfig, PairTrainer, RatedPairs, both_ways


class APODownConfig(BetaConfig):
    """The paper's β; the rest as DPO's."""


def apo_down_loss(pairs: RatedPairs, config: APODownConfig) -> Tensor:
    """Loss of each pair, from 0 to 2: (B,). Far from the reference its gradient dies. Eq. 8."""
    return (config.beta * pairs.chosen.log_ratio).sigmoid() + (-config.beta * pairs.gap).sigmoid()


APODown = PairTrainer(APODownConfig, both_ways(apo_down_loss))
"""Anchored preference optimisation for chosen responses worse than the model's own (2408.06266)."""
