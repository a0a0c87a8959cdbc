"""GDPO: GRPO with several rewards, each normalised apart.  Liu et al. 2026, arXiv 2601.05242.

    a_i  = Σ_k w_k ( r_k(x, y_i) − mean_j r_k(x, y_j) ) / std_j r_k(x, y_j)
    A_i  = ( a_i − mean a ) / std a                                    over the whole rollout
    L(θ) = grpo's

paper    code             differs from the paper
r_k      models.reward()  a folder of kind weighted. With a single reward A is grpo's on another scale
w_k      its weights      not of scores but of what is normalised. grpo itself on the same folder normalises
                          the weighted sum: together, where the reward that varies most rules
std      group_advantages ddof 1 and 10⁻⁴ added, in both lines, as in TRL
         config.scale     false: a_i is not divided by the spread of the group
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from farm.methods.grpo import STD_FLOOR, GRPOConfig, by_response, group_advantages, group_stats, loss
from farm.models.ops import Total, alone, masked_mean, masked_var
from farm.models.reward_wrappers import WeightedRewards
from farm.models.tokens import Prompt
from farm.training.batches import Rollout
from farm.training.credit import Credit
from farm.training.method import Models, RewardFn
from farm.training.on_policy import L, RolloutPlan, Rollouts
from farm.training.processes import Processes
from farm.training.rollout_method import RolloutTrainer


class GDPOConfig(GRPOConfig):
    """As GRPO's."""


def decoupled(scores: Tensor, weights: Tensor, n: int, scale: bool = True) -> Tensor:
    """a of each response: (P · n, K) scores, (K,) weights -> (P · n,). Liu et al. 2026."""
    columns = [group_advantages(column, n, scale) for column in scores.unbind(-1)]
    return torch.stack(columns, -1) @ weights.to(scores)


def over_rollout(values: Tensor, total: Total = alone) -> Tensor:
    """Mean 0 and standard deviation 1 over the rows of all processes: (B,) -> (B,)."""
    every = torch.ones_like(values, dtype=torch.bool)[None]
    spread = masked_var(values[None], every, total=total).sqrt()
    return (values - masked_mean(values[None], every, total)) / (spread + STD_FLOOR)


class DecoupledRollouts(Rollouts[L]):
    """A feed of rollouts whose `decoupled` tells each reward's say on a scale of its own."""

    config: GDPOConfig

    def reward_of(self, models: Models) -> RewardFn:
        """The weighted sum, which also keeps what it is made of. One reward has a weight of 1."""
        named = models.reward()
        reward = named if isinstance(named, WeightedRewards) else WeightedRewards([named], [1.0])
        self.weights = torch.tensor(reward.weights)

        def score(prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
            self.each = reward.each(prompts, responses)
            return self.each @ self.weights

        return score

    def drawn(self, plan: RolloutPlan) -> Rollout:
        """A rollout; the penalty of a response that was cut is taken off each of its scores."""
        rollout, config = super().drawn(plan), self.config
        cut = config.missing_eos_penalty * ~rollout.ended[:, None]
        scores = self.each.to(rollout.score) - cut
        return rollout._replace(decoupled=decoupled(scores, self.weights, config.n, config.scale))


def worth(rollout: Rollout, config: GDPOConfig, processes: Processes) -> Credit:
    """Give every token the advantage of its response. Rollout of P · n rows -> Credit of (P · n, T)."""
    assert rollout.decoupled is not None
    advantages, mask = over_rollout(rollout.decoupled, processes.sum), rollout.tokens.mask.to(rollout.logps)
    weights = mask if config.every_token else by_response(mask)
    return Credit(rollout, advantages[:, None] * mask, weights, group_stats(rollout, config.n, processes))


GDPO = RolloutTrainer(GDPOConfig, worth, loss, DecoupledRollouts)
"""Group reward-decoupled normalisation policy optimisation (Liu et al. 2026)."""
