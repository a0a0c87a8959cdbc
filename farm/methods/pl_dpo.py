"""Plackett-Luce DPO: DPO for rankings of K responses.  Rafailov et al. 2023, arXiv 2305.18290, app. A.3.

    L(θ) = −E Σ_k log ( exp q_τ(k) / Σ_(j ≥ k) exp q_τ(j) ),   q_i = β log π_θ(y_i|x)/π_ref(y_i|x)    (eq. 20)

paper   code               differs from the paper
β       config.beta
τ       groups.score       the response of the k-th highest score. The paper has no ties: with them the loss
                           is the mean over the orders that they allow, so K = 2 is dpo, ties included
Σ_k     config.per_choice  divides it by the number of choices, K − 1, so that long lists weigh no more
"""

from __future__ import annotations

from math import comb

import torch
from torch import Tensor

from farm.training.data import DataError
from farm.training.group_method import GroupConfig, GroupTrainer, RatedGroups

MOST_TIED = 12  # responses of one score: their 4,095 subsets are gone through


class PLDPOConfig(GroupConfig):
    """DPO's β."""

    per_choice: bool = False
    """Divide the loss of a group by the number of its choices, one less than its responses."""


def remaining(reward: Tensor, lower: Tensor) -> Tensor:
    """Mean over all orders of m tied responses of Σ_k log Σ_(j ≥ k) exp q_j: (m,), scalar -> scalar.

    lower: log Σ exp q of the responses of lower scores. When k of the tied ones are left, any k of them are
    as likely as any other k.
    """
    size = len(reward)
    subsets = torch.arange(1, 2**size)[:, None] >> torch.arange(size) & 1
    chance = 1 / torch.tensor([comb(size, k) for k in range(size + 1)]).to(reward)[subsets.sum(-1)]
    left = torch.where(subsets.to(reward.device) > 0, reward, -torch.inf).logsumexp(-1)
    return (chance * torch.logaddexp(left, lower)).sum()


def ranking_loss(reward: Tensor, score: Tensor) -> Tensor:
    """−log P(the order of the scores) of K responses, a mean over orders where scores tie: (K,) -> scalar.

    Raises DataError where more than MOST_TIED responses tie.
    """
    loss = -reward.sum()
    for value in score.unique():
        tied = score == value
        if tied.sum() > MOST_TIED:
            what = f"{int(tied.sum())} outputs of one instruction have one score; {MOST_TIED} can"
            raise DataError(what, where="pl_dpo", remedy="use a method without orders: lipo, infonca")
        loss = loss + remaining(reward[tied], reward[score < value].logsumexp(-1))
    return loss


def pl_dpo_loss(groups: RatedGroups, config: PLDPOConfig) -> Tensor:
    """Loss of each group: (G,). Rafailov et al. 2023, eq. 20."""
    rows = zip(config.beta * groups.log_ratio, groups.score, groups.there, strict=True)
    losses = torch.stack([ranking_loss(reward[there], score[there]) for reward, score, there in rows])
    return losses / (groups.there.sum(-1) - 1) if config.per_choice else losses


PLDPO = GroupTrainer(PLDPOConfig, pl_dpo_loss)
"""Direct preference optimisation on rankings (Rafailov et al. 2023)."""
