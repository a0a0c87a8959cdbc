"""LiPO-λ: pairs of a list weighed by what their exchange would cost.  Liu et al. 2024, arXiv 2402.01878.

    L(θ) = E Σ_(ψ_i > ψ_j) Δ_ij log ( 1 + exp(−(q_i − q_j)) ),   q_i = β log π_θ(y_i|x)/π_ref(y_i|x)
    Δ_ij = |G_i − G_j| |1/D(τ_i) − 1/D(τ_j)|,   G = 2^ψ − 1,   D(τ) = log(1 + τ),   without gradient

paper   code               differs from the paper
β       config.beta
ψ       groups.score       a win rate or a label in [0, 1]; responses of equal scores make no pair
τ       places             the place of y_i by q, best first. Equal q, as before the first step, keep the
                           order of the group, for with equal places nothing would ever be learnt
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from farm.training.group_method import GroupConfig, GroupTrainer, RatedGroups


class LiPOConfig(GroupConfig):
    """The paper's β and batches; the rest as DPO's."""

    beta: float = 0.05


def places(reward: Tensor, there: Tensor) -> Tensor:
    """Place of each response by its reward, 1 for the highest: (G, K) -> (G, K)."""
    last = reward.masked_fill(~there, -torch.inf)
    return last.argsort(dim=-1, descending=True, stable=True).argsort(-1) + 1


def lambda_weights(groups: RatedGroups, reward: Tensor) -> Tensor:
    """Δ of each pair in which i has the higher score, else 0: (G, K, K), without gradient."""
    gain, discount = 2**groups.score - 1, 1 / (1 + places(reward.detach(), groups.there)).to(reward).log()
    apart = [(each[:, :, None] - each[:, None, :]).abs() for each in (gain.to(reward), discount)]
    return apart[0] * apart[1] * groups.above


def lipo_loss(groups: RatedGroups, config: LiPOConfig) -> Tensor:
    """Loss of each group: (G,). Liu et al. 2024."""
    reward = config.beta * groups.log_ratio
    losses = softplus(-(reward[:, :, None] - reward[:, None, :]))
    return (lambda_weights(groups, reward) * losses).sum((1, 2))


LiPO = GroupTrainer(LiPOConfig, lipo_loss)
"""Listwise preference optimisation with lambda weights (Liu et al. 2024)."""
