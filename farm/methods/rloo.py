"""REINFORCE with a leave-one-out baseline.  Ahmadian et al. 2024, arXiv 2402.14740; Kool et al. 2019.

    R(x, y) = r(x, y) − β log π_θ(y|x)/π_ref(y|x)                                            (eq. 3)
    A_i     = R(x, y_i) − 1/(n − 1) Σ_(j ≠ i) R(x, y_j)                                      (sec. 3.3)
    L(θ)    = −E min( ρ_i A_i, clip(ρ_i, 1 − ε, 1 + ε) A_i ),   ρ_i = π_θ(y_i|x)/π_old(y_i|x)

paper   code                   differs from the paper
β       config.beta
k       config.n
r       models.reward()        missing_eos_penalty is taken off the score of a response that was cut
L       rloo_loss              the paper's is −A log π_θ(y|x), which has the same gradient at ρ = 1, where the
                               first step of every rollout is; ρ and ε (as in TRL) are for the steps after it
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from farm.config import option
from farm.models.ops import clipped_objective, kl_k1, masked_sum
from farm.models.tokens import Prompt
from farm.training.data import Data
from farm.training.method import DataKind, Loss, Models, Rollout
from farm.training.rollout import Graded, RolloutConfig, Rollouts, mean_over, rollout_stats


class RLOOConfig(RolloutConfig):
    """The paper's on HH: 4 responses to a prompt, 512 responses to a step at 1e-6."""

    n: int = option(4, at_least=2)
    """Responses drawn for each prompt of a rollout; each has the others as its baseline."""
    learning_rate: float = 1e-6
    beta: float = option(0.05, at_least=0)
    """Weight of the KL divergence from the reference in the reward."""
    clip: float = option(0.2, above=0)
    """How far the probability ratio of a response is followed from 1."""


def sequence_reward(score: Tensor, logps: Tensor, ref_logps: Tensor, mask: Tensor, beta: float) -> Tensor:
    """R of each response: (B,)."""
    return score - beta * masked_sum(kl_k1(logps, ref_logps), mask)


def leave_one_out(rewards: Tensor, n: int) -> Tensor:
    """Each reward over the mean of the others to the same prompt; prompts stand together: (P * n,)."""
    of_prompt = rewards.view(-1, n)
    others = (of_prompt.sum(1, keepdim=True) - of_prompt) / (n - 1)
    return (of_prompt - others).flatten()


def rloo_loss(logps: Tensor, old_logps: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Loss of each response, from log-probabilities of whole responses: (B,)."""
    return -clipped_objective((logps - old_logps).exp(), advantages, clip)


class RLOO:
    """REINFORCE leave-one-out (Ahmadian et al. 2024)."""

    Config: ClassVar[type[RLOOConfig]] = RLOOConfig
    data_kind: ClassVar[DataKind] = "instructions"

    def __init__(self, config: RLOOConfig, data: Data[Prompt], models: Models) -> None:
        self.config = config
        self.policy = self.trained = self.product = models.policy()
        self.rollouts = Rollouts(config, data, models, self.policy)
        self.steps, self.rollout_steps = self.rollouts.steps, config.rollout_steps

    def batches(self, start: int) -> Iterator[list[Graded]]:
        return self.rollouts.batches(start, self.graded)

    def held_out(self) -> Iterator[Graded]:
        return self.rollouts.held_out(self.graded)

    def graded(self, rollout: Rollout) -> Graded:
        mask, processes = rollout.tokens.mask, self.rollouts.processes
        rewards = sequence_reward(rollout.score, rollout.logps, rollout.ref_logps, mask, self.config.beta)
        (mean_reward,) = mean_over(processes, rewards)
        stats = rollout_stats(rollout, processes) | {"objective/rlhf_reward": mean_reward}
        advantages = leave_one_out(rewards, self.config.n)
        return Graded(rollout, advantages, torch.ones_like(rewards), stats)

    def loss(self, batch: Graded) -> Loss:
        tokens, old = batch.rollout.tokens, masked_sum(batch.rollout.logps, batch.rollout.tokens.mask)
        logps = masked_sum(self.policy(tokens, self.config.temperature), tokens.mask)
        losses = rloo_loss(logps, old, batch.advantages, self.config.clip)
        log_ratio = (logps - old).detach()
        clipped = (log_ratio.exp() - 1).abs() > self.config.clip
        stats = {
            "policy/approxkl_avg": 0.5 * log_ratio.square().mean(),
            "policy/clipfrac_avg": clipped.double().mean(),
        }
        return Loss(losses.mean(), {**batch.stats, **stats})
