"""Hinge loss on log-ratios, RSO's normalised form of SLiC.  Liu et al. 2023, arXiv 2309.06657.

    L(θ) = E max(0, 1 − β ( log π_θ(y_w|x)/π_ref(y_w|x) − log π_θ(y_l|x)/π_ref(y_l|x) ))

paper   code               differs from the paper
γ       config.beta        the paper's name of the factor
        pairs.gap          the paper draws its pairs from an estimate of the best policy; ours are given
E       both_ways          a preference p < 1 weighs both directions; a tie is ½
"""

from __future__ import annotations

from torch import Tensor

from farm.training.pair_method import BetaConfig, PairTrainer, RatedPairs, both_ways


class HingeConfig(BetaConfig):
    """The paper's factor; the rest as DPO's."""

    beta: float = 0.05


def hinge_loss(pairs: RatedPairs, config: HingeConfig) -> Tensor:
    """Loss of each pair: (B,). A pair whose gap is more than 1/β nats is learnt, and has no gradient."""
    return (1 - config.beta * pairs.gap).relu()


Hinge = PairTrainer(HingeConfig, both_ways(hinge_loss))
"""Hinge loss on pairs with a reference (Liu et al. 2023)."""
