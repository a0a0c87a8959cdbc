"""REINFORCE with a leave-one-out baseline.  Ahmadian et al. 2024, arXiv 2402.14740; Kool et al. 2019.

    R(x, y) = r(x, y) − β log π_θ(y|x)/π_ref(y|x)                                            (eq. 3)
    A_i     = R(x, y_i) − 1/(n − 1) Σ_(j ≠ i) R(x, y_j)                                      (sec. 2.3)
    L(θ)    = −E min( ρ_i A_i, clip(ρ_i, 1 − ε, 1 + ε) A_i ),   ρ_i = π_θ(y_i|x)/π_old(y_i|x)

paper   code                   differs from the paper
β       config.beta            0.05 is TRL's default; 0.10 on HH and 0.03 on TL;DR in the paper (app. C)
k       config.n               the paper's app. C takes two steps on a rollout, where minibatches is 1 here
r       models.reward()        missing_eos_penalty is taken off the score of a response that was cut
L       rloo_loss              the paper's is −A log π_θ(y|x). At ρ = 1, in the first step of every rollout,
                               both have the same gradient. The later steps need ρ and ε, as in TRL.
                               Each pass deals the minibatches anew, where TRL's keep their rows
"""

from __future__ import annotations

import torch
from torch import Tensor

from farm.config import option
from farm.models.ops import clipped_objective, kl_k1, masked_sum
from farm.training.batches import Rollout
from farm.training.credit import Graded
from farm.training.method import Loss
from farm.training.processes import Processes
from farm.training.rollout import RolloutConfig, mean_over, rollout_stats
from farm.training.rollout_method import RolloutTrainer


class RLOOConfig(RolloutConfig):
    """The paper's on HH: 4 responses to a prompt, rollouts of 512 responses, 1e-6. beta is TRL's default."""

    n: int = option(4, at_least=2)
    """Responses drawn for each prompt of a rollout; each has the others as its baseline."""
    learning_rate: float = 1e-6
    beta: float = option(0.05, at_least=0)
    """Weight of the KL divergence from the reference in the reward."""
    clip: float = option(0.2, above=0)
    """How far the probability ratio of a response is followed from 1."""


def sequence_reward(score: Tensor, logps: Tensor, ref_logps: Tensor, mask: Tensor, beta: float) -> Tensor:
    """R of each response: (B,), the score (B,) minus beta times the log-ratio over its tokens, in nats.

    logps, ref_logps, mask: (B, T). Ahmadian et al. 2024, eq. 3.
    """
    return score - beta * masked_sum(kl_k1(logps, ref_logps), mask)


def leave_one_out(rewards: Tensor, n: int) -> Tensor:
    """Each reward minus the mean of the n - 1 others to its prompt: (P · n,) -> (P · n,).

    The n rewards of a prompt stand together. Kool et al. 2019; Ahmadian et al. 2024, sec. 2.3.
    """
    of_prompt = rewards.view(-1, n)
    others = (of_prompt.sum(1, keepdim=True) - of_prompt) / (n - 1)
    return (of_prompt - others).flatten()


def rloo_loss(logps: Tensor, old_logps: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Clipped loss of each response: (B,).

    logps, old_logps: (B,) log-probabilities of whole responses. advantages: (B,).
    """
    return -clipped_objective((logps - old_logps).exp(), advantages, clip)


def worth(rollout: Rollout, config: RLOOConfig, processes: Processes) -> Graded:
    """The advantage of each response over the others to its prompt: (B,)."""
    rewards = sequence_reward(
        rollout.score,
        logps=rollout.logps,
        ref_logps=rollout.reference,
        mask=rollout.tokens.mask,
        beta=config.beta,
    )
    (mean_reward,) = mean_over(processes, rewards)
    stats = rollout_stats(rollout, processes) | {"objective/rlhf_reward": mean_reward}
    return Graded(rollout, leave_one_out(rewards, config.n), torch.ones_like(rewards), stats)


def loss(logps: Tensor, batch: Graded, config: RLOOConfig) -> Loss:
    """Mean loss over the B responses of a batch. logps: (B, T)."""
    mask = batch.tokens.mask
    of_response, old = masked_sum(logps, mask), masked_sum(batch.rollout.logps, mask)
    losses = rloo_loss(of_response, old, batch.advantages, config.clip)
    log_ratio = (of_response - old).detach()
    clipped = (log_ratio.exp() - 1).abs() > config.clip
    stats = {
        "policy/approxkl_avg": 0.5 * log_ratio.square().mean(),
        "policy/clipfrac_avg": clipped.double().mean(),
    }
    return Loss(losses.mean(), {**batch.stats, **stats})


RLOO = RolloutTrainer(RLOOConfig, worth, loss)
"""REINFORCE leave-one-out (Ahmadian et al. 2024)."""
