"""Group sequence policy optimisation.  Zheng et al. 2025, arXiv 2507.18071.

    s_i  = ( π_θ(y_i|x)/π_old(y_i|x) )^(1/|y_i|)                                            (eq. 7)
    L(θ) = −E min( s_i A_i, clip(s_i, 1 − ε_low, 1 + ε_high) A_i )                          (eq. 5)
    A_i  = ( r(x, y_i) − mean_j r(x, y_j) ) / std_j r(x, y_j)                               (eq. 6)

paper   code                        differs from the paper
s_i     exp of a mean over tokens   one for the whole response, where grpo has one for each token
ε       config.clip, .clip_high     3 · 10⁻⁴ and 4 · 10⁻⁴ of the paper: s_i is much nearer to 1 than a token's
                                    ratio is. ppo's 0.2 would never clip
E       one mean over responses     TRL's default weighs each by its length
A_i     group_advantages            10⁻⁴ is added to the standard deviation
r       models.reward()             missing_eos_penalty is taken off the score of a response that was cut
"""

from __future__ import annotations

import torch
from torch import Tensor

from farm.config import option
from farm.methods.grpo import group_advantages, group_stats
from farm.models.ops import clipped_objective, masked_row_mean
from farm.training.batches import Rollout
from farm.training.credit import Graded
from farm.training.method import Loss
from farm.training.processes import Processes
from farm.training.rollout import RolloutConfig
from farm.training.rollout_method import RolloutTrainer


class GSPOConfig(RolloutConfig):
    """The paper's clipping and 4 steps on a rollout; groups of 8, 1e-6, no KL term."""

    n: int = option(8, at_least=2)
    """Responses drawn for each prompt of a rollout: a group."""
    minibatches: int = 4
    """Optimizer steps in each of those passes."""
    learning_rate: float = 1e-6
    clip: float = option(3e-4, above=0, below=1)
    """How far the ratio of a response is followed below 1."""
    clip_high: float = option(4e-4, above=0)
    """How far it is followed above 1."""


def sequence_ratio(logps: Tensor, old_logps: Tensor, mask: Tensor) -> Tensor:
    """s of each response: (B, T) -> (B,). Zheng et al. 2025, eq. 7."""
    return masked_row_mean(logps - old_logps, mask).exp()


def worth(rollout: Rollout, config: GSPOConfig, processes: Processes) -> Graded:
    """The advantage of each response in its group: (P · n,)."""
    advantages = group_advantages(rollout.score, config.n)
    stats = group_stats(rollout, config.n, processes)
    return Graded(rollout, advantages, torch.ones_like(advantages), stats)


def loss(logps: Tensor, batch: Graded, config: GSPOConfig) -> Loss:
    """Mean loss over the B responses of a batch. logps: (B, T)."""
    ratio = sequence_ratio(logps, batch.rollout.logps, batch.tokens.mask)
    losses = -clipped_objective(ratio, batch.advantages, config.clip, config.clip_high)
    said = ratio.detach()
    stats = {
        "policy/approxkl_avg": 0.5 * said.log().square().mean(),
        "policy/clipfrac_avg": ((said < 1 - config.clip) | (said > 1 + config.clip_high)).double().mean(),
    }
    return Loss(losses.mean(), {**batch.stats, **stats})


GSPO = RolloutTrainer(GSPOConfig, worth, loss, needs=("reward",))
"""Group sequence policy optimisation (Zheng et al. 2025)."""
