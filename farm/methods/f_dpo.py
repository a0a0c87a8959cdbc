"""f-DPO: DPO with another divergence from the reference.  Wang et al. 2023, arXiv 2309.16240.

    L(θ) = −E log σ( β f′(u_w) − β f′(u_l) ),   u = π_θ(y|x) / π_ref(y|x)

    divergence   f′(u), but for constants, which cancel
    reverse_kl   log u                  this is DPO
    forward_kl   −1/u
    js           log u/(1 + u)
    alpha        (1 − u^−α) / α         α in (0, 1): towards 0 the reverse KL, at 1 the forward KL

paper   code               differs from the paper
α       config.alpha       the paper's. TRL's f_alpha_divergence_coef is 1 − α
1/u     inverse            exponents above 80 are cut, for float32 ends at 88: there the gradient is 0
E       pairs.preference   a preference p < 1 weighs both directions; a tie is ½
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn.functional import logsigmoid

from farm.config import option
from farm.models.ops import preference_loss
from farm.training.pair_method import BetaConfig, PairTrainer, RatedPairs, RatedResponses

HIGHEST = 80.0  # of an exponent


class FDPOConfig(BetaConfig):
    """The Jensen-Shannon divergence; the rest as DPO's."""

    divergence: Literal["reverse_kl", "forward_kl", "js", "alpha"] = "js"
    """How the distance from the reference is measured."""
    alpha: float = option(0.5, above=0, below=1)
    """α of the alpha divergence."""


def inverse(log_ratio: Tensor, power: float) -> Tensor:
    """u^−power from log u, any shape."""
    return (-power * log_ratio).clamp(max=HIGHEST).exp()


def f_prime(log_ratio: Tensor, config: FDPOConfig) -> Tensor:
    """f′(u) from log u, but for a constant: any shape. Wang et al. 2023."""
    if config.divergence == "forward_kl":
        return -inverse(log_ratio, 1.0)
    if config.divergence == "js":
        return logsigmoid(log_ratio)
    if config.divergence == "alpha":
        return (1 - inverse(log_ratio, config.alpha)) / config.alpha
    return log_ratio


def reward(responses: RatedResponses, config: FDPOConfig) -> Tensor:
    """β f′(u): (B,)."""
    return config.beta * f_prime(responses.log_ratio, config)


def f_dpo_loss(pairs: RatedPairs, config: FDPOConfig) -> Tensor:
    """Loss of each pair: (B,). Wang et al. 2023."""
    return preference_loss(reward(pairs.chosen, config) - reward(pairs.rejected, config), pairs.preference)


FDPO = PairTrainer(FDPOConfig, f_dpo_loss, reward)
"""DPO with other divergences (Wang et al. 2023)."""
