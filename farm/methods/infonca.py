"""InfoNCA: DPO for K responses with scores.  Chen et al. 2024, arXiv 2402.05369.

    L(θ) = −E Σ_i w_i log softmax_i( β log π_θ(y_i|x)/π_ref(y_i|x) ),   w = softmax_i(s_i / α)

paper   code                differs from the paper
β       config.beta
α       config.temperature  towards 0, and with K = 2, it is dpo
s       groups.score        a win rate or a label in [0, 1]; ties are equal scores
"""

from __future__ import annotations

from torch import Tensor

from farm.training.group_method import GroupTrainer, RatedGroups, TargetConfig


class InfoNCAConfig(TargetConfig):
    """The paper's β; the rest as DPO's."""

    beta: float = 0.01


def infonca_loss(groups: RatedGroups, config: InfoNCAConfig) -> Tensor:
    """Loss of each group: (G,). Chen et al. 2024."""
    weights = groups.log_softmax(groups.score / config.temperature).exp()
    return -groups.sum(weights * groups.log_softmax(config.beta * groups.log_ratio))


InfoNCA = GroupTrainer(InfoNCAConfig, infonca_loss)
"""Contrastive alignment by a softmax over the group (Chen et al. 2024)."""
