"""A*-PO: regression on optimal advantages, one draw a prompt.  Brantley et al. 2025, arXiv 2505.20686.

    V*(x) = β₁ log 1/K Σ_k exp( r(x, y_k)/β₁ ),   y_1 … y_K ~ π_ref(·|x), once
    L(θ)  = E ( β₂ log π_θ(y|x)/π_ref(y|x) − ( r(x, y) − V*(x) ) )²,   y ~ π_old(·|x)

paper    code               differs from the paper
V*, K    ValuedRollouts     value_draws is K. A logsumexp, which no large r breaks
β₁       config.value_beta  0.5 is for the authors' rewards of 0 or 1. With rewards that are far apart V* is
                            the best draw's reward: raise it
β₂       config.beta
r        models.reward()    missing_eos_penalty is taken off the score of a response that was cut
x        every prompt       TRL leaves out prompts whose draws all have reward 0, the authors do not
"""

from __future__ import annotations

import torch
from torch import Tensor

from farm.config import option
from farm.models.ops import masked_row_mean, masked_sum
from farm.training.batches import Rollout
from farm.training.credit import Graded
from farm.training.method import Loss
from farm.training.processes import Processes
from farm.training.reference_values import ValuedConfig, ValuedRollouts
from farm.training.rollout import mean_over, rollout_stats
from farm.training.rollout_method import RolloutTrainer


class AStarPOConfig(ValuedConfig):
    """The authors': 256 prompts a rollout, one response to each, 1e-6."""

    batch_size: int = 256
    """Prompts in a rollout, over all processes."""
    learning_rate: float = 1e-6
    beta: float = option(1e-3, above=0)
    """β₂, factor on the log-ratio of a response: how strongly the policy is held to the reference."""


def a_star_po_loss(log_ratio: Tensor, advantages: Tensor, beta: float) -> Tensor:
    """Squared residual of each response: (B,). log_ratio: of whole responses, in nats."""
    return (beta * log_ratio - advantages).square()


def worth(rollout: Rollout, config: AStarPOConfig, processes: Processes) -> Graded:
    """The optimal advantage of each response, its score minus V* of its prompt: (P · n,)."""
    values = masked_row_mean(rollout.values, rollout.tokens.mask)
    advantages = rollout.score - values
    value, advantage = mean_over(processes, values, advantages)
    said = {"objective/optimal_value": value, "objective/optimal_advantage": advantage}
    return Graded(rollout, advantages, torch.ones_like(advantages), rollout_stats(rollout, processes) | said)


def loss(logps: Tensor, batch: Graded, config: AStarPOConfig) -> Loss:
    """Mean squared residual over the B responses of a batch. logps: (B, T)."""
    log_ratio = masked_sum(logps - batch.rollout.reference, batch.tokens.mask)
    return Loss(a_star_po_loss(log_ratio, batch.advantages, config.beta).mean(), batch.stats)


AStarPO = RolloutTrainer(AStarPOConfig, worth, loss, ValuedRollouts, at_server=False)
"""Optimal advantage regression (Brantley et al. 2025)."""
