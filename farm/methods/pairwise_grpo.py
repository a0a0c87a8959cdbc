"""GRPO with a pairwise advantage: a judge compares a group's responses.  Hong et al. 2025, arXiv 2505.16265.

    A_i  = 1/n Σ_j d_ij / sqrt( Σ_ij d_ij² / (2 n (n − 1)) + 10⁻⁶ ),   d_ij = 2 P(y_i preferred to y_j) − 1
    L(θ) = −E 1/|y_i| Σ_t [ min( ρ_t A_i, clip(ρ_t, 1 − ε, 1 + ε) A_i ) − β k3_t ]           (GRPO's)

paper    code             differs from the paper
d        2 P − 1          in [−1, 1], 0 is a tie. The authors' code divides it by the length of what the judge
                          wrote. With d_ij = r_i − r_j this is grpo's advantage, but for the floor
Σ        known pairs      a pair without a judgement is left out of both sums, where theirs is a tie
P        models.judge()   an annotator, or a reward model by its scores. --orders both asks in both orders,
                          where the paper asks in one
L        grpo.loss        with all options of grpo
"""

from __future__ import annotations

import torch
from torch import Tensor

from farm.config import option
from farm.methods.grpo import GRPOConfig, by_response, loss
from farm.training.batches import Rollout
from farm.training.credit import Credit
from farm.training.judged_rollouts import GroupVerdicts
from farm.training.processes import Processes
from farm.training.rollout import mean_over, rollout_stats
from farm.training.rollout_method import RolloutTrainer

FLOOR = 1e-6  # added to the variance of a group


class PairwiseGRPOConfig(GRPOConfig):
    """The authors': groups of 4, 2e-6, a KL weight of 1e-4."""

    n: int = option(4, at_least=2)
    """Responses drawn for each prompt of a rollout: a group, of which all n (n − 1)/2 pairs are judged."""
    learning_rate: float = 2e-6
    beta: float = option(1e-4, at_least=0)
    """Weight of the KL divergence from the reference in the loss."""
    missing_eos_penalty: float = option(0.0, at_least=0)
    """Taken off the log-odds of a response that was cut; off its score, where a reward model judges."""


def pairwise_advantages(leads: Tensor, scale: bool = True) -> Tensor:
    """The advantage of each response: (P, n, n) -> (P · n,). Hong et al. 2025.

    leads: d_ij, by how much response i is preferred to j; NaN where no one judged. The diagonal is ignored.
    scale: divide by the group's spread.
    """
    n = leads.shape[-1]
    known = ~leads.isnan() & ~torch.eye(n, dtype=torch.bool, device=leads.device)
    leads = leads.masked_fill(~known, 0.0)
    lead = leads.sum(-1) / known.sum(-1).clamp(min=1) * (n - 1) / n
    variance = leads.square().sum((1, 2)) / known.sum((1, 2)).clamp(min=1) / 2
    return (lead / (variance + FLOOR).sqrt()[:, None] if scale else lead).flatten()


def worth(rollout: Rollout, config: PairwiseGRPOConfig, processes: Processes) -> Credit:
    """Give every token the pairwise advantage of its response: Credit of (P · n, T)."""
    assert rollout.preferences is not None
    preferences, n = rollout.preferences, config.n
    advantages = pairwise_advantages(2 * preferences.view(-1, n, n) - 1, config.scale)
    mask = rollout.tokens.mask.to(rollout.logps)
    weights = mask if config.every_token else by_response(mask)
    known = (~preferences.isnan()).sum(-1)
    ties, without = mean_over(processes, (preferences == 0.5).sum(-1) / (n - 1), 1 - known / (n - 1))
    stats = {"judging/ties": ties, "judging/without_judgement": without}
    return Credit(
        rollout._replace(preferences=None),
        advantages.to(mask)[:, None] * mask,
        weights,
        rollout_stats(rollout, processes) | stats,
    )


PairwiseGRPO = RolloutTrainer(PairwiseGRPOConfig, worth, loss, GroupVerdicts, needs=("reference", "judge"))
"""GRPO with the pairwise advantage of Think-RM (Hong et al. 2025)."""
