"""Robust DPO, without bias from flipped labels.  Chowdhury et al. 2024, arXiv 2403.00409.

    L(θ) = E [ (1 − ε) ℓ(h) − ε ℓ(−h) ] / (1 − 2ε),   ℓ(h) = −log σ(β h)
    h    = log π_θ(y_w|x)/π_ref(y_w|x) − log π_θ(y_l|x)/π_ref(y_l|x)

paper   code               differs from the paper
ε       config.flip_rate   how often one vote is the wrong way round; measure_flip_rate takes it from pairs of
                           the snapshot that were judged twice or more
h       pairs.gap
E       both_ways          a preference p < 1 is a mean over votes, each of them corrected by ε; a tie is ½
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from farm.config import option
from farm.training.pair_method import BetaConfig, PairTrainer, RatedPairs, both_ways


class RobustDPOConfig(BetaConfig):
    """The paper's ε and β; the rest as DPO's."""

    flip_rate: float = option(0.1, at_least=0, below=0.5)
    """Share of votes that are the wrong way round, ε."""
    measure_flip_rate: bool = False
    """Take it from the snapshot instead: from how often two votes on the same pair differ."""


def robust_dpo_loss(pairs: RatedPairs, config: RobustDPOConfig) -> Tensor:
    """Loss of each pair: (B,). It has no lower bound: beyond a large gap its slope stays −β ε / (1 − 2ε)."""
    margin, flipped = config.beta * pairs.gap, config.flip_rate
    return (-(1 - flipped) * logsigmoid(margin) + flipped * logsigmoid(-margin)) / (1 - 2 * flipped)


RobustDPO = PairTrainer(RobustDPOConfig, both_ways(robust_dpo_loss))
"""Robust direct preference optimisation (Chowdhury et al. 2024)."""
