"""REINFORCE++: no critic, advantages whitened over the whole rollout.  Hu et al. 2025, arXiv 2501.03262.

    A_t  = r(x, y) − β Σ_(l ≥ t) log π_old(y_l|·)/π_ref(y_l|·),  then mean 0 and variance 1 over all tokens
    L(θ) = −E_t min( ρ_t A_t, clip(ρ_t, 1 − ε, 1 + ε) A_t ),   ρ_t = π_θ(y_t|·)/π_old(y_t|·)

paper      code                   differs from the paper
β, ε       config.beta, .clip
A_t        masked_whiten          over the response tokens of all processes, ddof 1; TRL's are over responses
baseline   config.baseline        the mean score of a prompt's responses is taken off first, for n above 1:
                                  REINFORCE++-baseline, of which the paper's has its KL term in the loss (k2)
r          models.reward()        missing_eos_penalty is taken off the score of a response that was cut
"""

from __future__ import annotations

import torch
from torch import Tensor

from farm.config import option
from farm.methods.grpo import clipped_loss, group_advantages
from farm.models.ops import Total, alone, gae, kl_shaped_reward, masked_whiten
from farm.training.batches import Rollout
from farm.training.credit import Credit
from farm.training.method import Loss
from farm.training.processes import Processes
from farm.training.rollout import RolloutConfig, rollout_stats
from farm.training.rollout_method import RolloutTrainer


class ReinforcePPConfig(RolloutConfig):
    """One response to a prompt; clipping as in the paper. beta is OpenRLHF's."""

    learning_rate: float = 1e-6
    beta: float = option(0.01, at_least=0)
    """Weight of the KL divergence from the reference in the reward of each token."""
    clip: float = option(0.2, above=0)
    """How far the probability ratio of a token is followed from 1."""
    baseline: bool = False
    """Take off the mean score of the prompt's responses first."""

    def problems(self) -> list[str]:
        """Problems of the shared options, and a baseline of a single response."""
        single = ["n must be at least 2 with a baseline: a single response is its own mean"]
        return super().problems() + (single if self.baseline and self.n < 2 else [])


def returns_to_go(
    score: Tensor, logps: Tensor, ref_logps: Tensor, mask: Tensor, *, beta: float, total: Total = alone
) -> Tensor:
    """Advantages of the tokens: (B, T), 0 off the mask. Hu et al. 2025.

    score: (B,). total: sums over all processes, for the whitening.
    """
    reward = kl_shaped_reward(score, logps, ref_logps, mask, beta=beta)
    returns = gae(reward, torch.zeros_like(reward), mask, gamma=1.0, lam=1.0).returns
    return masked_whiten(returns, mask, total=total)


def worth(rollout: Rollout, config: ReinforcePPConfig, processes: Processes) -> Credit:
    """The whitened return of each token; every token counts the same: Credit of (P · n, T)."""
    score = group_advantages(rollout.score, config.n, scale=False) if config.baseline else rollout.score
    mask = rollout.tokens.mask
    advantages = returns_to_go(
        score, rollout.logps, rollout.reference, mask, beta=config.beta, total=processes.sum
    )
    return Credit(rollout, advantages, mask.to(rollout.logps), rollout_stats(rollout, processes))


def loss(logps: Tensor, batch: Credit, config: ReinforcePPConfig) -> Loss:
    """Mean loss over the tokens of a batch. logps: (B, T)."""
    return clipped_loss(logps, batch, config.clip)


ReinforcePP = RolloutTrainer(ReinforcePPConfig, worth, loss)
"""REINFORCE++ (Hu et al. 2025)."""
