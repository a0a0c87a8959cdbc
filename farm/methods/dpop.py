"""DPO-positive: DPO that must not lower the chosen response.  Pal et al. 2024 (Smaug), arXiv 2402.13228.

    L(θ) = −E log σ( β ( c − r − λ max(0, −c) ) )
    c    = log π_θ(y_w|x)/π_ref(y_w|x),   r = log π_θ(y_l|x)/π_ref(y_l|x)

paper   code               differs from the paper
λ       config.penalty     inside the sigmoid, multiplied by β: our reading of the paper
E       both_ways          a preference p < 1 weighs both directions; a tie is ½
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from farm.config import option
from farm.training.pair_method import BetaConfig, PairTrainer, RatedPairs, both_ways


class DPOPConfig(BetaConfig):
    """The paper's β and λ; the rest as DPO's."""

    beta: float = 0.3
    penalty: float = option(50.0, at_least=0)
    """Weight of each nat by which the chosen response is below the reference, λ."""


def dpop_loss(pairs: RatedPairs, config: DPOPConfig) -> Tensor:
    """Loss of each pair: (B,). Its gradient jumps where c is 0."""
    lowered = (-pairs.chosen.log_ratio).relu()
    return -logsigmoid(config.beta * (pairs.gap - config.penalty * lowered))


DPOP = PairTrainer(DPOPConfig, both_ways(dpop_loss))
"""DPO-positive (Pal et al. 2024)."""
