"""Small tensor functions that several methods share. Each is pure and has golden tests.

Shapes: B rows, T tokens, N response tokens of a batch (where the mask is 1, in row order), V vocabulary.
`logps[b, t]` is log p(ids[b, t] | ids[b, :t]). So every (B, T) tensor is aligned with the token it describes.
Off the mask its value has no meaning and must not reach a result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, logsigmoid

EPSILON = 1e-8  # under a square root or a division

Total: TypeAlias = Callable[[Tensor], Tensor]
"""Adds numbers up over the processes of a run, elementwise: `Processes.sum`, or `alone`."""


def alone(values: Tensor) -> Tensor:
    """The total over one process: the values themselves."""
    return values


class Advantages(NamedTuple):
    """Generalised advantages and the returns they imply, both (B, T) and 0 off the mask."""

    advantages: Tensor
    returns: Tensor


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum over each row's masked tokens: (B, T) -> (B,). Values off the mask, even NaN, are ignored."""
    return values.masked_fill(mask == 0, 0.0).sum(-1)


def masked_mean(values: Tensor, mask: Tensor, total: Total = alone) -> Tensor:
    """Mean over all masked tokens, all of equal weight: (B, T) -> scalar. 0 on an empty mask."""
    sums = total(torch.stack([masked_sum(values, mask).sum(), mask.sum().to(values.dtype)]))
    return sums[0] / sums[1].clamp(min=1)


def masked_row_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over each row's masked tokens: (B, T) -> (B,). 0 for a row without any."""
    return masked_sum(values, mask) / mask.sum(-1).clamp(min=1)


def masked_var(values: Tensor, mask: Tensor, ddof: int = 1, total: Total = alone) -> Tensor:
    """Variance over all masked tokens: (B, T) -> scalar. 0 for one token.

    ddof: 1 is Bessel's correction, as in TRL's PPO.
    """
    centred = values - masked_mean(values, mask, total)
    squares = masked_sum(centred.square(), mask).sum()
    sums = total(torch.stack([squares, mask.sum().to(values.dtype)]))
    return sums[0] / (sums[1] - ddof).clamp(min=1)


def masked_whiten(
    values: Tensor, mask: Tensor, *, shift_mean: bool = True, ddof: int = 1, total: Total = alone
) -> Tensor:
    """Scale to mean 0 and variance 1 over the masked tokens: (B, T) -> (B, T), 0 off the mask.

    shift_mean: False keeps the mean as it is.
    """
    mean = masked_mean(values, mask, total)
    white = (values - mean) * torch.rsqrt(masked_var(values, mask, ddof, total) + EPSILON)
    return (white if shift_mean else white + mean).masked_fill(mask == 0, 0.0)


def at_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Logits divided by a temperature above 0, any shape. At 1: the logits themselves, without a copy."""
    return logits if temperature == 1 else logits / temperature


def token_logps(logits: Tensor, ids: Tensor) -> Tensor:
    """log softmax(logits)[ids], in float32 or better: (N, V), (N,) -> (N,)."""
    return -cross_entropy(_wide(logits), ids, reduction="none")


def _wide(logits: Tensor) -> Tensor:
    """In float32 or better: a softmax over a large vocabulary is not for half precision."""
    return logits if logits.dtype == torch.float64 else logits.float()


def full_logps(logits: Tensor) -> Tensor:
    """log softmax(logits) over the whole vocabulary, in float32 or better: (N, V) -> (N, V)."""
    return log_softmax(_wide(logits), -1)


def log_complement(logps: Tensor) -> Tensor:
    """log(1 − p) of p = exp(logps) < 1, any shape: exact for p near 0 and near 1, and so is its gradient."""
    near = logps > -math.log(2)  # each form is exact on its side and may overflow in a gradient on the other
    small, large = logps.where(near, -math.log(2)), logps.where(~near, -math.log(2))
    return torch.where(near, torch.log(-torch.expm1(small)), torch.log1p(-torch.exp(large)))


def entropy(logps: Tensor) -> Tensor:
    """Shannon entropy in nats, from the log-probabilities of the whole vocabulary: (N, V) -> (N,)."""
    return -(logps.exp() * logps).sum(-1)


def full_kl(logps: Tensor, ref_logps: Tensor) -> Tensor:
    """KL(π || π_ref) in nats, from the log-probabilities of the whole vocabulary: (N, V) -> (N,)."""
    return (logps.exp() * (logps - ref_logps)).sum(-1)


def kl_k1(logps: Tensor, ref_logps: Tensor) -> Tensor:
    """log π - log π_ref of the sampled token, in nats, any shape. Schulman 2020.

    Unbiased for KL(π || π_ref). It may be negative.
    """
    return logps - ref_logps


def kl_k2(logps: Tensor, ref_logps: Tensor) -> Tensor:
    """½ (log π - log π_ref)², in nats, any shape. Schulman 2020.

    Biased with low variance. Its gradient is unbiased.
    """
    return 0.5 * (logps - ref_logps).square()


def kl_k3(logps: Tensor, ref_logps: Tensor) -> Tensor:
    """r - 1 - log r with r = π_ref / π, in nats, any shape. Schulman 2020.

    Unbiased for KL(π || π_ref) and never negative.
    """
    log_ratio = ref_logps - logps
    return log_ratio.expm1() - log_ratio


def kl_shaped_reward(
    score: Tensor, logps: Tensor, ref_logps: Tensor, mask: Tensor, beta: Tensor | float
) -> Tensor:
    """Reward of each token: (B, T), 0 off the mask. Ouyang et al. 2022.

    The KL penalty is taken off every token, and the score (B,) is added on the last one.
    """
    reward = (-beta * kl_k1(logps, ref_logps)).to(score).masked_fill(mask == 0, 0.0)
    return reward.scatter_add(1, last_token(mask)[:, None], score[:, None])


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> Advantages:
    """Generalised advantage estimation. Schulman et al. 2016, arXiv 1506.02438, eq. 16.

    δ_t = r_t + γ V_{t+1} - V_t;  A_t = δ_t + γλ A_{t+1};  return_t = A_t + V_t, all (B, T).
    The masked tokens of a row stand together; beyond the last of them V and A are 0.
    """
    values, rewards = values.masked_fill(mask == 0, 0.0), rewards.masked_fill(mask == 0, 0.0)
    advantages = torch.zeros_like(values)
    ahead = torch.zeros_like(values[:, 0])
    for t in range(values.shape[1] - 1, -1, -1):
        next_value = values[:, t + 1] if t + 1 < values.shape[1] else torch.zeros_like(ahead)
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        ahead = (delta + gamma * lam * ahead).masked_fill(mask[:, t] == 0, 0.0)
        advantages[:, t] = ahead
    return Advantages(advantages, advantages + values)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor, total: Total = alone) -> Tensor:
    """1 - Var(returns - values) / Var(returns) over the masked tokens: (B, T) -> scalar.

    1 is a perfect prediction. 0 is as good as predicting the mean.
    """
    unexplained = masked_var(returns - values, mask, total=total)
    return 1 - unexplained / masked_var(returns, mask, total=total).clamp(min=EPSILON)


def last_token(mask: Tensor) -> Tensor:
    """Column of each row's last masked token: (B, T) -> (B,). Padding may stand on either side."""
    columns = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    return ((mask != 0) * columns).argmax(-1)


def spread(values: Tensor, mask: Tensor) -> Tensor:
    """Put one value per response token into its place: (N,), (B, T) -> (B, T), 0 off the mask."""
    return values.new_zeros(mask.shape).masked_scatter(mask != 0, values)


def clipped_objective(ratio: Tensor, advantages: Tensor, clip: float, high: float | None = None) -> Tensor:
    """min(ρ A, clip(ρ, 1 - ε, 1 + ε) A), elementwise. Schulman et al. 2017, arXiv 1707.06347, eq. 7.

    ratio: ρ = π / π_old. clip: ε. high: another ε above 1 (Yu et al. 2025, arXiv 2503.14476); None: the same.
    Where the ratio is more than ε from 1, moving it further cannot raise the objective.
    """
    within = ratio.clamp(1 - clip, 1 + (clip if high is None else high))
    return torch.minimum(ratio * advantages, within * advantages)


def in_order(margin: Tensor, preference: Tensor) -> Tensor:
    """Whether each pair is in the right order: 1, 0, or a half, (B,).

    margin: score of the first response minus score of the second. preference: P(first preferred), of
    which the side alone counts. A tie of scores is a half, and so is a tie of the label.
    """
    return 0.5 + 0.5 * margin.double().sign() * (preference.double() - 0.5).sign()


def preference_loss(margin: Tensor, preference: Tensor | float) -> Tensor:
    """Cross-entropy of a preference under Bradley-Terry: -p log σ(m) - (1 - p) log σ(-m), elementwise.

    margin: how much higher the first of the pair is rated, in nats; p = P(first preferred) in [0, 1]. A tie
    is p = ½. Label smoothing by ε is p = 1 - ε (conservative DPO; Mitchell 2023, eq. 3).
    """
    return -preference * logsigmoid(margin) - (1 - preference) * logsigmoid(-margin)
