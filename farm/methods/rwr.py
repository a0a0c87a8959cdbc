"""Reward-weighted regression: imitate every output, the better ones more.

Peters and Schaal 2007; Korbak et al. 2023, arXiv 2302.08582, section 2.

    L(θ) = −E_t exp(R/β) log π_θ(y_t|x, y_<t)

paper   code                differs from the paper
R       label               in [0, 1]; the paper's is a classifier's score of each sentence, at most 0
β       config.beta
        config.most_weight  cuts the weight, as in the authors' code
E       loop                every token of a step counts the same; weights are not made to sum to 1
"""

from __future__ import annotations

from torch import Tensor

from farm.config import option
from farm.training.token_method import TokenConfig, TokenTrainer


class RWRConfig(TokenConfig):
    """β 0.5 for labels in [0, 1]; the rest as supervised fine-tuning's."""

    beta: float = option(0.5, above=0)
    """Temperature of the weights: at 0.5 a label of 1 weighs e² times one of 0."""
    most_weight: float = option(1000.0, above=0)
    """The largest weight of a token."""


def weights(reward: Tensor, config: RWRConfig) -> Tensor:
    """exp(R/β), cut: any shape."""
    return (reward / config.beta).exp().clamp(max=config.most_weight)


def rwr_loss(logps: Tensor, label: Tensor, config: RWRConfig) -> Tensor:
    """Loss of each token: (B, T)."""
    return -weights(label, config) * logps


RWR = TokenTrainer(RWRConfig, rwr_loss)
"""Reward-weighted regression (Peters and Schaal 2007)."""
