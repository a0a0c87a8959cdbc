"""SimPO: rewards by token, without a reference.  Meng et al. 2024, arXiv 2405.14734.

    L(θ) = −E log σ( β r(y_w) − β r(y_l) − γ ),   r(y) = log π_θ(y|x) / |y|
    AlphaPO (Gupta et al. 2025, arXiv 2501.03884):  r_α(y) = ( 1 − exp(−α r(y)) ) / α,  and r_0 = r

paper   code                differs from the paper
β       config.beta
γ/β     config.gamma_ratio  the authors' option; TRL's simpo_gamma is γ
α       config.alpha
E       both_ways           a preference p < 1 weighs both directions; a tie is ½
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from farm.config import option
from farm.training.pair_method import BetaConfig, PairTrainer, RatedPairs, RatedResponses, both_ways


class SimPOConfig(BetaConfig):
    """The paper's β and margin; the rest as DPO's."""

    beta: float = 2.0
    gamma_ratio: float = option(0.5, at_least=0)
    """Target margin between the rewards, γ/β, in nats a token."""
    alpha: float = 0.0
    """AlphaPO's shape of the reward: 0 is SimPO, 0.25 AlphaPO's choice."""


def shaped(mean: Tensor, alpha: float) -> Tensor:
    """(1 − exp(−α m)) / α, and m where α is 0: any shape. It overflows where −α m is above 88 (float32)."""
    return -torch.expm1(-alpha * mean) / alpha if alpha else mean


def reward(responses: RatedResponses, config: SimPOConfig) -> Tensor:
    """β r_α(y): (B,)."""
    return config.beta * shaped(responses.mean, config.alpha)


def simpo_loss(pairs: RatedPairs, config: SimPOConfig) -> Tensor:
    """Loss of each pair: (B,). Meng et al. 2024; AlphaPO: Gupta et al. 2025."""
    margin = reward(pairs.chosen, config) - reward(pairs.rejected, config)
    return -logsigmoid(margin - config.gamma_ratio * config.beta)


SimPO = PairTrainer(SimPOConfig, both_ways(simpo_loss), reward, needs=())
"""Simple preference optimisation (Meng et al. 2024), with AlphaPO's reward shape."""
