"""DAPO: decoupled clipping and dynamic sampling.  Yu et al. 2025, arXiv 2503.14476.

    L(θ) = −E 1/Σ_i |y_i| Σ_i Σ_t min( ρ_t A_i, clip(ρ_t, 1 − ε_low, 1 + ε_high) A_i )      (eq. 8)
    A_i  = ( R_i − mean_j R_j ) / std_j R_j,   ρ_t = π_θ(y_t|·)/π_old(y_t|·)                 (eq. 9)
    R_i  = r(x, y_i) + 0 up to L − C tokens, then −(|y_i| − (L − C))/C, −1 beyond L         (eq. 13)

paper    code                    differs from the paper
ε        config.clip, .clip_high
1/Σ|y|   by_prompt               over the tokens of a prompt's group, then a mean over prompts, as eq. 8 has
                                 it; verl and TRL take one mean over the batch
A_i      group_advantages        10⁻⁴ is added to the standard deviation
C        config.overlong_cache   off at first. L is max_new_tokens, and no response is longer
eq. 11   config.redraws          groups of one score are left out, and other prompts drawn in their place. The
                                 score counts before eq. 13. It ends after so many draws, full or not
"""

from __future__ import annotations

import torch
from torch import Tensor

from farm.config import option
from farm.methods.grpo import clipped_loss, group_advantages, group_stats
from farm.training.batches import Rollout
from farm.training.credit import Credit
from farm.training.dynamic_sampling import DynamicConfig, DynamicRollouts
from farm.training.method import Loss
from farm.training.processes import Processes
from farm.training.rollout_method import RolloutTrainer


class DAPOConfig(DynamicConfig):
    """The paper's: groups of 16, rollouts of 512 prompts in 16 steps, 1e-6, no KL term."""

    batch_size: int = 512
    """Prompts in a rollout, over all processes."""
    n: int = option(16, at_least=2)
    """Responses drawn for each prompt of a rollout: a group."""
    minibatches: int = 16
    """Optimizer steps in each of those passes."""
    learning_rate: float = 1e-6
    clip: float = option(0.2, above=0, below=1)
    """How far the probability ratio of a token is followed below 1."""
    clip_high: float = option(0.28, above=0)
    """How far it is followed above 1."""
    overlong_cache: int = option(0, at_least=0)
    """Last tokens of max_new_tokens over which a long response loses up to 1 of its score; 0: none."""
    mask_truncated: bool = False
    """Leave out responses that were cut at max_new_tokens."""


def soft_overlong(length: Tensor, longest: int, cache: int) -> Tensor:
    """What a response of so many tokens loses, from 0 to -1: (B,). Yu et al. 2025, eq. 13."""
    over = length - (longest - cache)
    return -(over / max(cache, 1)).clamp(0, 1) * float(cache > 0)


def worth(rollout: Rollout, config: DAPOConfig, processes: Processes) -> Credit:
    """Advantages of shaped scores; a group's tokens have the same weight, and each prompt counts once."""
    mask = rollout.tokens.mask.to(rollout.logps)
    shaped = rollout.score + soft_overlong(mask.sum(-1), config.max_new_tokens, config.overlong_cache)
    advantages = group_advantages(shaped, config.n)
    kept = mask * rollout.ended[:, None] if config.mask_truncated else mask
    return Credit(
        rollout,
        advantages[:, None] * mask,
        by_prompt(kept, config.n),
        group_stats(rollout, config.n, processes),
        units=torch.full_like(rollout.score, 1 / config.n),
    )


def by_prompt(mask: Tensor, n: int) -> Tensor:
    """Each token divided by the tokens of its group: (P · n, T) -> (P · n, T)."""
    tokens = mask.sum(-1).view(-1, n).sum(1).clamp(min=1)
    return mask / tokens.repeat_interleave(n)[:, None]


def loss(logps: Tensor, batch: Credit, config: DAPOConfig) -> Loss:
    """Mean over prompts of the mean over their tokens. logps: (B, T)."""
    return clipped_loss(logps, batch, config.clip, config.clip_high)


DAPO = RolloutTrainer(DAPOConfig, worth, loss, DynamicRollouts, needs=("reward",))
"""Decoupled clip and dynamic sampling policy optimisation (Yu et al. 2025)."""
