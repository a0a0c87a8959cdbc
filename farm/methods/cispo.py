"""CISPO: clipped importance weights, and a gradient for every token.  MiniMax 2025, arXiv 2506.13585.

    L(θ) = −E 1/Σ_i |y_i| Σ_i Σ_t sg[ min(ρ_t, c) ] A_i log π_θ(y_t|·)                       (eq. 4, 5)
    A_i  = ( r(x, y_i) − mean_j r(x, y_j) ) / std_j r(x, y_j),   ρ_t = π_θ(y_t|·)/π_old(y_t|·)

paper    code               differs from the paper
c        config.ratio_max   1 + ε_high, which the paper tunes; 5 is TRL's. TRL's option epsilon_high is the
                            bound, others' an offset. There is no lower bound, as in the paper's runs
sg       detach             beyond the bound a token weighs c, where ppo's clipping gives it no gradient
1/Σ|y|   by_prompt          over the tokens of a prompt's group, then a mean over prompts; TRL: over the batch
A_i      group_advantages   10⁻⁴ is added to the standard deviation
r        models.reward()    missing_eos_penalty is taken off the score of a response that was cut
"""

from __future__ import annotations

import torch
from torch import Tensor

from farm.config import option
from farm.methods.dapo import by_prompt
from farm.methods.grpo import group_advantages, group_stats, ratio_stats
from farm.training.batches import Rollout
from farm.training.credit import Credit
from farm.training.method import Loss
from farm.training.processes import Processes
from farm.training.rollout import RolloutConfig
from farm.training.rollout_method import RolloutTrainer


class CISPOConfig(RolloutConfig):
    """Groups of 8, 1e-6, no KL term; TRL's bound on the ratio."""

    n: int = option(8, at_least=2)
    """Responses drawn for each prompt of a rollout: a group."""
    learning_rate: float = 1e-6
    ratio_max: float = option(5.0, above=1)
    """The largest weight that a token's probability ratio gives it."""


def cispo_loss(logps: Tensor, old_logps: Tensor, advantages: Tensor, ratio_max: float) -> Tensor:
    """Loss of each token: (B, T). MiniMax 2025, eq. 4 and 5."""
    ratio = (logps - old_logps).exp().detach().clamp(max=ratio_max)
    return -ratio * advantages * logps


def worth(rollout: Rollout, config: CISPOConfig, processes: Processes) -> Credit:
    """Give every token the advantage of its response; each prompt counts once: Credit of (P · n, T)."""
    mask = rollout.tokens.mask.to(rollout.logps)
    return Credit(
        rollout,
        group_advantages(rollout.score, config.n)[:, None] * mask,
        by_prompt(mask, config.n),
        group_stats(rollout, config.n, processes),
        units=torch.full_like(rollout.score, 1 / config.n),
    )


def loss(logps: Tensor, batch: Credit, config: CISPOConfig) -> Loss:
    """Mean over prompts of the mean over their tokens. logps: (B, T)."""
    losses = cispo_loss(logps, batch.rollout.logps, batch.advantages, config.ratio_max)
    stats = ratio_stats(logps, batch, 1.0, config.ratio_max - 1)
    return Loss(batch.mean(losses), {**batch.stats, **stats})


CISPO = RolloutTrainer(CISPOConfig, worth, loss, needs=("reward",))
"""Clipped importance sampling policy optimisation (MiniMax 2025)."""
