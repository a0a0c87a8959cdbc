"""Contrastive preference optimisation, which needs no reference.  Xu et al. 2024, arXiv 2401.08417.

    L(θ) = E [ −log σ( β log π_θ(y_w|x) − β log π_θ(y_l|x) ) − α log π_θ(y_w|x) ]             (eq. 3)

paper   code                  differs from the paper
β       config.beta
α       config.nll            1 in the paper
        config.nll_per_token  the mean over tokens; TRL takes one mean over all chosen tokens of a batch
E       both_ways             a preference p < 1 weighs both directions; a tie is ½
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from farm.config import option
from farm.training.pair_method import BetaConfig, PairTrainer, RatedPairs, both_ways


class CPOConfig(BetaConfig):
    """The paper's β and weight of imitation; the rest as DPO's."""

    nll: float = option(1.0, at_least=0)
    """Weight of the negative log-likelihood of the preferred response, α."""
    nll_per_token: bool = False
    """Take the mean of that term over the response's tokens; else the sum, as the paper does."""


def cpo_loss(pairs: RatedPairs, config: CPOConfig) -> Tensor:
    """Loss of each pair: (B,). Xu et al. 2024, eq. 3."""
    margin = config.beta * (pairs.chosen.logps - pairs.rejected.logps)
    return -logsigmoid(margin) + config.nll * pairs.chosen.nll(config.nll_per_token)


CPO = PairTrainer(CPOConfig, both_ways(cpo_loss), needs=())
"""Contrastive preference optimisation (Xu et al. 2024)."""
