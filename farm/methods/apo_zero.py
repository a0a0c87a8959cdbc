"""APO-zero: each response has its own pull.  D'Oosterlinck et al. 2024, arXiv 2408.06266.

    L(θ) = E [ 1 − σ( β log π_θ(y_w|x)/π_ref(y_w|x) ) + σ( β log π_θ(y_l|x)/π_ref(y_l|x) ) ]     (eq. 7)

paper   code               differs from the paper
1       1                  TRL's constant, which keeps the loss above 0 and changes no gradient
E       both_ways          a preference p < 1 weighs both directions; a tie is ½
"""

from __future__ import annotations

from torch import Tensor

from farm.training.pair_method import BetaConfig, PairTrainer, RatedPairs, both_ways


class APOZeroConfig(BetaConfig):
    """The paper's β; the rest as DPO's."""


def apo_zero_loss(pairs: RatedPairs, config: APOZeroConfig) -> Tensor:
    """Loss of each pair, from 0 to 2: (B,). Far from the reference its gradient dies. Eq. 7."""
    chosen, rejected = config.beta * pairs.chosen.log_ratio, config.beta * pairs.rejected.log_ratio
    return (-chosen).sigmoid() + rejected.sigmoid()


APOZero = PairTrainer(APOZeroConfig, both_ways(apo_zero_loss))
"""Anchored preference optimisation for chosen responses better than the model's own (2408.06266)."""
