"""Group relative policy optimisation.  Shao et al. 2024, arXiv 2402.03300.

    A_i  = ( r(x, y_i) − mean_j r(x, y_j) ) / std_j r(x, y_j)                                (sec. 4.1.2)
    L(θ) = −E 1/|y_i| Σ_t [ min( ρ_t A_i, clip(ρ_t, 1 − ε, 1 + ε) A_i ) − β k3_t ]            (eq. 3)
    ρ_t  = π_θ(y_t | ·)/π_old(y_t | ·),   k3_t = π_ref/π_θ − 1 − log π_ref/π_θ                (eq. 4)

paper   code                   differs from the paper
G       config.n               std has ddof 1 and 10⁻⁴ added, as in TRL; equal scores have advantage 0
β, ε    config.beta, .clip
k3      config.correct_kl      true: times ρ_t, whose value is 1 on policy. The gradient is then that of
                               KL(π_θ ‖ π_ref), as in DeepSeek-V3.2 and by default in TRL 1.16; the
                               paper's is that of KL(π_ref ‖ π_θ), and heavy-tailed
1/|y|   config.every_token     true: every token counts the same (Yu et al. 2025, arXiv 2503.14476, eq. 8),
                               over all tokens of a step, where they divide by those of a group
std     config.scale           false: A_i is not divided (Liu et al. 2025, arXiv 2503.20783)
r       models.reward()        missing_eos_penalty is taken off the score of a response that was cut
π_ref   models.reference()     one round of algorithm 1, which renews π_ref and the reward model in rounds
"""

from __future__ import annotations

from torch import Tensor

from farm.config import option
from farm.models.ops import clipped_objective, kl_k3
from farm.training.batches import Rollout
from farm.training.credit import Credit
from farm.training.method import Loss, Stats
from farm.training.processes import Processes
from farm.training.rollout import RolloutConfig, mean_over, rollout_stats
from farm.training.rollout_method import RolloutTrainer

STD_FLOOR = 1e-4  # added to the standard deviation of a group


class GRPOConfig(RolloutConfig):
    """The paper's KL weight and learning rate; groups of 8 in place of its 64."""

    n: int = option(8, at_least=2)
    """Responses drawn for each prompt of a rollout: a group."""
    learning_rate: float = 1e-6
    beta: float = option(0.04, at_least=0)
    """Weight of the KL divergence from the reference in the loss."""
    clip: float = option(0.2, above=0)
    """How far the probability ratio of a token is followed from 1."""
    correct_kl: bool = False
    """Multiply the KL estimate by the probability ratio: an unbiased gradient of KL(policy, reference)."""
    scale: bool = True
    """Divide advantages by the standard deviation of their group."""
    every_token: bool = False
    """Mean over tokens in place of a mean over responses of each one's mean over its tokens."""


def group_advantages(scores: Tensor, n: int, scale: bool = True) -> Tensor:
    """Each score minus the mean of its group: (P · n,) -> (P · n,). Shao et al. 2024, sec. 4.1.2.

    The n scores of a group stand together. scale: divide by the group's standard deviation plus STD_FLOOR.
    """
    groups = scores.view(-1, n)
    centred = groups - groups.mean(1, keepdim=True)
    return (centred / (groups.std(1, keepdim=True) + STD_FLOOR) if scale else centred).flatten()


def grpo_loss(
    logps: Tensor,
    old_logps: Tensor,
    ref_logps: Tensor,
    advantages: Tensor,
    *,
    beta: float,
    clip: float,
    correct_kl: bool = False,
) -> Tensor:
    """Loss of each token: (B, T). Shao et al. 2024, eq. 3.

    logps, old_logps, ref_logps: (B, T). advantages: (B, T) or (B, 1). correct_kl: multiply k3 by the ratio.
    """
    ratio, kl = (logps - old_logps).exp(), kl_k3(logps, ref_logps)
    return beta * (ratio * kl if correct_kl else kl) - clipped_objective(ratio, advantages, clip)


def group_stats(rollout: Rollout, n: int, processes: Processes) -> dict[str, Tensor]:
    """Metrics of a rollout, with the share of groups whose responses all have one score."""
    (no_signal,) = mean_over(processes, rollout.score.view(-1, n).std(1) == 0)
    return rollout_stats(rollout, processes) | {"frac_reward_zero_std": no_signal}


def worth(rollout: Rollout, config: GRPOConfig, processes: Processes) -> Credit:
    """Give every token the advantage of its response. Rollout of P · n rows -> Credit of (P · n, T)."""
    advantages = group_advantages(rollout.score, config.n, config.scale)
    mask = rollout.tokens.mask.to(rollout.logps)
    weights = mask if config.every_token else by_response(mask)
    return Credit(rollout, advantages[:, None] * mask, weights, group_stats(rollout, config.n, processes))


def by_response(mask: Tensor) -> Tensor:
    """Each token divided by the tokens of its response: (B, T) -> (B, T)."""
    return mask / mask.sum(-1, keepdim=True).clamp(min=1)


def loss(logps: Tensor, batch: Credit, config: GRPOConfig) -> Loss:
    """Mean loss over the tokens of a batch, by their weights. logps: (B, T)."""
    old, reference = batch.rollout.logps, batch.rollout.reference
    losses = grpo_loss(
        logps,
        old,
        reference,
        batch.advantages,
        beta=config.beta,
        clip=config.clip,
        correct_kl=config.correct_kl,
    )
    return Loss(batch.mean(losses), {**batch.stats, **ratio_stats(logps, batch, config.clip)})


def clipped_loss(logps: Tensor, batch: Credit, clip: float, high: float | None = None) -> Loss:
    """Mean over the tokens, by their weights, of minus the clipped objective. logps: (B, T)."""
    losses = -clipped_objective((logps - batch.rollout.logps).exp(), batch.advantages, clip, high)
    return Loss(batch.mean(losses), {**batch.stats, **ratio_stats(logps, batch, clip, high)})


def ratio_stats(logps: Tensor, batch: Credit, clip: float, high: float | None = None) -> Stats:
    """How far the policy is from the one that drew, and the share of tokens whose ratio is clipped.

    Means by the weights of the tokens. With units of its own each response counts by its unit.
    """
    if batch.units is not None:
        batch = batch._replace(weights=by_response(batch.tokens.mask.to(logps)) * batch.units[:, None])
    log_ratio = (logps - batch.rollout.logps).detach()
    ratio = log_ratio.exp()
    clipped = (ratio < 1 - clip) | (ratio > 1 + (clip if high is None else high))
    return {
        "policy/approxkl_avg": batch.mean(0.5 * log_ratio.square()),
        "policy/clipfrac_avg": batch.mean(clipped.double()),
    }


GRPO = RolloutTrainer(GRPOConfig, worth, loss)
"""Group relative policy optimisation (Shao et al. 2024)."""
