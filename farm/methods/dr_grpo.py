"""Dr. GRPO: group advantages without the biases of length and spread.  Liu et al. 2025, arXiv 2503.20783.

    A_i  = r(x, y_i) − mean_j r(x, y_j)                                                     (sec. 3.2)
    L(θ) = −E 1/L Σ_t min( ρ_t A_i, clip(ρ_t, 1 − ε, 1 + ε) A_i ),   ρ_t = π_θ(y_t|·)/π_old(y_t|·)

paper   code                    differs from the paper
L       config.max_new_tokens   the longest response, as in the authors' code: a constant, so that a token
                                counts the same in a short response and in a long one
A_i     group_advantages        not divided by the standard deviation; TRL's recipe divides unless told not to
ε       config.clip
r       models.reward()         missing_eos_penalty is taken off the score of a response that was cut
"""

from __future__ import annotations

import torch
from torch import Tensor

from farm.config import option
from farm.methods.grpo import clipped_loss, group_advantages, group_stats
from farm.training.batches import Rollout
from farm.training.credit import Credit
from farm.training.method import Loss
from farm.training.processes import Processes
from farm.training.rollout import RolloutConfig
from farm.training.rollout_method import RolloutTrainer


class DrGRPOConfig(RolloutConfig):
    """The paper's: groups of 8, 1e-6, no KL term."""

    n: int = option(8, at_least=2)
    """Responses drawn for each prompt of a rollout: a group."""
    learning_rate: float = 1e-6
    clip: float = option(0.2, above=0)
    """How far the probability ratio of a token is followed from 1."""


def worth(rollout: Rollout, config: DrGRPOConfig, processes: Processes) -> Credit:
    """Give every token the advantage of its response and the same weight: Credit of (P · n, T)."""
    mask = rollout.tokens.mask.to(rollout.logps)
    advantages = group_advantages(rollout.score, config.n, scale=False)
    return Credit(
        rollout,
        advantages[:, None] * mask,
        mask / config.max_new_tokens,
        group_stats(rollout, config.n, processes),
        units=torch.ones_like(rollout.score),
    )


def loss(logps: Tensor, batch: Credit, config: DrGRPOConfig) -> Loss:
    """Mean over the responses of a batch of their tokens' sum over L. logps: (B, T)."""
    return clipped_loss(logps, batch, config.clip)


DrGRPO = RolloutTrainer(DrGRPOConfig, worth, loss, needs=("reward",))
"""Dr. GRPO (Liu et al. 2025)."""
