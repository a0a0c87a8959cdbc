"""Noise contrastive alignment on K responses with scores.  Chen et al. 2024, arXiv 2402.05369.

    L(θ) = −E Σ_i [ w_i log σ(r_i) + 1/K log σ(−r_i) ],   w = softmax_i(s_i / α)
    r_i  = β log π_θ(y_i|x)/π_ref(y_i|x)

paper   code                differs from the paper
β       config.beta
α       config.temperature
s       groups.score        a win rate or a label in [0, 1]; ties are equal scores. The authors' code adds
                            0.01 to the first response of each list
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from farm.training.group_method import GroupTrainer, RatedGroups, TargetConfig


class NCAListConfig(TargetConfig):
    """The paper's β; the rest as DPO's."""

    beta: float = 0.01


def nca_list_loss(groups: RatedGroups, config: NCAListConfig) -> Tensor:
    """Loss of each group: (G,). Chen et al. 2024."""
    reward = config.beta * groups.log_ratio
    weights = groups.log_softmax(groups.score / config.temperature).exp()
    return -groups.sum(weights * logsigmoid(reward)) - groups.mean(logsigmoid(-reward))


NCAList = GroupTrainer(NCAListConfig, nca_list_loss)
"""Noise contrastive alignment on groups (Chen et al. 2024)."""
