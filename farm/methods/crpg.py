"""CRPG: a policy gradient of calibrated rewards within constraints.  Xu et al. 2024, arXiv 2409.20370.

    R_c  = σ( r(x, y) − r(x, ȳ) ),   KL = log π(y|x)/π_ref(y|x)
    R    = v(x, y) · R_c · max(0, 1 − KL/KL_max)
    L(θ) = −E (R − mean R) log π_θ(y|x)                                   over all tokens of all responses

paper    code                  differs from the paper
v        models.constraints()  1 where every judge of the prompt accepts the response, else 0
r        models.reward()       missing_eos_penalty is taken off the score of a response that was cut
ȳ        CalibratedRollouts    the prompt's demonstration, where --demonstrations names some; else one
                               response of the reference for the whole run
KL_max   config.kl_max         KL is of one response, and may be negative: the factor is 1 then, never more
mean R   over the rollout      of all prompts, as in a public re-implementation: a response that fails has the
                               advantage −mean R
L        grpo.clipped_loss     at ρ = 1, in the first step of every rollout, the gradient is that of L
"""

from __future__ import annotations

from torch import Tensor

from farm.config import option
from farm.methods.grpo import clipped_loss
from farm.training.batches import Rollout
from farm.training.constraints import CalibratedRollouts, calibrated, constraint_stats
from farm.training.credit import Credit
from farm.training.method import Loss
from farm.training.processes import Processes
from farm.training.rollout import RolloutConfig, mean_over
from farm.training.rollout_method import RolloutTrainer


class CRPGConfig(RolloutConfig):
    """4 responses to a prompt and a KL bound of 5, as in the public re-implementation."""

    n: int = option(4, at_least=1)
    """Responses drawn for each prompt of a rollout."""
    learning_rate: float = 1e-6
    kl_max: float | None = option(5.0, above=0)
    """Log-ratio of a whole response to the reference, in nats, at which its reward is 0; None: no bound."""
    clip: float = option(0.2, above=0)
    """How far the probability ratio of a token is followed from 1."""


def constrained_reward(reward: Tensor, passes: Tensor, kl: Tensor, kl_max: float | None) -> Tensor:
    """R of each response: (B,), in [0, 1]. Xu et al. 2024.

    reward: R_c. passes: whether the response is permitted. kl: its log-ratio to the reference, in nats.
    """
    near = 1.0 if kl_max is None else (1 - kl / kl_max).clamp(0, 1)
    return passes * reward * near


def worth(rollout: Rollout, config: CRPGConfig, processes: Processes) -> Credit:
    """Every token has its response's R minus the mean of all. Rollout of P · (n + 1) rows -> P · n rows."""
    own, reward, kl = calibrated(rollout, config.n)
    assert own.passes is not None
    found = constrained_reward(reward, own.passes, kl, config.kl_max)
    mean, mean_calibrated = mean_over(processes, found, reward)
    mask = own.tokens.mask.to(own.logps)
    stats = {"objective/calibrated": mean_calibrated, "objective/constrained": mean}
    advantages = (found - mean.to(found))[:, None] * mask
    return Credit(own, advantages, mask, constraint_stats(own, processes) | stats)


def loss(logps: Tensor, batch: Credit, config: CRPGConfig) -> Loss:
    """Mean loss over the tokens of a batch. logps: (B, T)."""
    return clipped_loss(logps, batch, config.clip)


CRPG = RolloutTrainer(
    CRPGConfig,
    worth,
    loss,
    CalibratedRollouts,
    needs=("reference", "reward", "demonstrations", "constraints"),
)
"""Calibrated-regularised policy gradient of CGPO (Xu et al. 2024)."""
