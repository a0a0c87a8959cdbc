"""Efficient exact optimisation on K responses with scores.  Ji et al. 2024, arXiv 2402.00856.

    L(θ) = E KL( softmax_i(β log π_θ(y_i|x)/π_ref(y_i|x)) ‖ softmax_i(s_i / β_r) )

paper   code                differs from the paper
β_π     config.beta
β_r     config.temperature
r       groups.score        a win rate or a label in [0, 1], not a reward model's score; ties are equal
"""

from __future__ import annotations

from torch import Tensor

from farm.training.group_method import GroupTrainer, RatedGroups, TargetConfig


class EXOListConfig(TargetConfig):
    """The authors' β_π and β_r of IMDb; the rest as DPO's."""


def exo_list_loss(groups: RatedGroups, config: EXOListConfig) -> Tensor:
    """Loss of each group: (G,). Ji et al. 2024."""
    policy = groups.log_softmax(config.beta * groups.log_ratio)
    target = groups.log_softmax(groups.score / config.temperature)
    return groups.sum(policy.exp() * (policy - target))


EXOList = GroupTrainer(EXOListConfig, exo_list_loss)
"""Efficient exact optimisation on groups (Ji et al. 2024)."""
