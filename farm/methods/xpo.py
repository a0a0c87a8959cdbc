"""Exploratory preference optimisation (XPO).  Xie et al. 2024, arXiv 2405.21046.

    y ~ π_θ(·|x),  y' ~ π_ref(·|x),   a judge prefers y_w to y_l                            (algorithm 1)
    L(θ) = −E log σ( β log π_θ(y_w|x)/π_ref(y_w|x) − β log π_θ(y_l|x)/π_ref(y_l|x) ) + α E log π_θ(y'|x)

paper   code                 differs from the paper
α       config.alpha         the paper gives no value; 10⁻⁵ is TRL's. The term is a sum over tokens, and has
                             no lower bound: it makes less likely what the reference says
y'      FreshTrainer.rival   the reference
E       one rollout          the paper fits all pairs until now again; one step on the new ones, as TRL
y_w     config.hard          as of online_dpo: a tie is ½, where TRL takes the first draw
"""

from __future__ import annotations

from torch import Tensor

from farm.config import option
from farm.methods.online_dpo import OnlineDPOConfig, online_dpo_loss
from farm.models.policy import Policy
from farm.training.fresh_pairs import FreshTrainer
from farm.training.pair_method import RatedPairs


class XPOConfig(OnlineDPOConfig):
    """As online_dpo's, with TRL's α."""

    alpha: float = option(1e-5, at_least=0)
    """Weight of the log-probability of the reference's response, which is made less likely."""


def xpo_loss(pairs: RatedPairs, config: XPOConfig) -> Tensor:
    """Loss of each pair: (B,). Xie et al. 2024, algorithm 1; the second response is the reference's."""
    return online_dpo_loss(pairs, config) + config.alpha * pairs.rejected.logps


def rival(policy: Policy, reference: Policy, config: XPOConfig) -> Policy:
    """The reference draws the second response."""
    return reference


XPO = FreshTrainer(XPOConfig, xpo_loss, rival)
"""Exploratory preference optimisation (Xie et al. 2024)."""
