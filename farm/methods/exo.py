"""Efficient exact optimisation: a reverse KL divergence to the preference.  Ji et al. 2024, arXiv 2402.00856.

    L(θ) = E KL( (σ(βh), σ(−βh)) ‖ (q, 1 − q) ),   q = p (1 − ε) + (1 − p) ε                    (eq. 16)
    h    = log π_θ(y_w|x)/π_ref(y_w|x) − log π_θ(y_l|x)/π_ref(y_l|x)

paper   code               differs from the paper
ε       config.label_smoothing   above 0, for the divergence to a sure preference is infinite
p       pairs.preference   1 in the paper. The loss is a divergence to a distribution, so a soft preference is
                           that distribution and weighs nothing; a tie is ½
q       target             normalised; the authors' code puts log q = (0, −10)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from farm.config import option
from farm.training.pair_method import BetaConfig, PairTrainer, RatedPairs


class EXOConfig(BetaConfig):
    """The paper's β and ε; the rest as DPO's."""

    label_smoothing: float = option(1e-3, above=0, below=0.5)
    """How far the target stays from a sure preference, ε."""


def exo_loss(pairs: RatedPairs, config: EXOConfig) -> Tensor:
    """Loss of each pair: (B,). Ji et al. 2024, eq. 16."""
    margin, smoothing = config.beta * pairs.gap, config.label_smoothing
    p = torch.as_tensor(pairs.preference, dtype=margin.dtype, device=margin.device)
    target = p * (1 - smoothing) + (1 - p) * smoothing
    wins, loses = logsigmoid(margin), logsigmoid(-margin)
    return wins.exp() * (wins - target.log()) + loses.exp() * (loses - (1 - target).log())


EXO = PairTrainer(EXOConfig, exo_loss)
"""Efficient exact optimisation on pairs (Ji et al. 2024)."""
