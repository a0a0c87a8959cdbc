"""CRRAFT: imitation of the best permitted response, by its reward.  Xu et al. 2024, arXiv 2409.20370.

    R_c  = σ( r(x, y) − r(x, ȳ) ),   KL = log π(y|x)/π_ref(y|x)
    R    = v(x, y) · 1[KL ≤ KL_max] · R_c,   y* = the response with the highest R
    L(θ) = −E R(x, y*) log π_θ(y*|x)                                                            (eq. 18)

paper    code                  differs from the paper
v        models.constraints()  1 where every judge of the prompt accepts the response, else 0
r        models.reward()       missing_eos_penalty is taken off the score of a response that was cut
ȳ        CalibratedRollouts    the prompt's demonstration, where --demonstrations names some; else one
                               response of the reference for the whole run. Where no response is permitted,
                               y* is ȳ with R = ½, if ȳ passes the judges and the bound too
KL_max   config.kl_max         of one response, under the policy that drew
E        over all prompts      one without any y* counts as 0
"""

from __future__ import annotations

import torch
from torch import Tensor

from farm.config import option
from farm.models.ops import masked_sum
from farm.training.batches import Rollout
from farm.training.constraints import CalibratedRollouts, calibrated, constraint_stats, log_ratio
from farm.training.credit import Graded
from farm.training.method import Loss
from farm.training.processes import Processes
from farm.training.rollout import RolloutConfig, mean_over
from farm.training.rollout_method import RolloutTrainer
from farm.training.rows import take

OF_BASELINE = 0.5  # R_c of a baseline: σ(0)


class CRRAFTConfig(RolloutConfig):
    """4 responses to a prompt and a KL bound of 5, as in a public re-implementation."""

    n: int = option(4, at_least=1)
    """Responses drawn for each prompt of a rollout, of which the best permitted one is imitated."""
    learning_rate: float = 1e-6
    kl_max: float | None = option(5.0, above=0)
    """Largest log-ratio of a whole response to the reference, in nats, that is imitated; None: no bound."""

    @property
    def kept(self) -> int:
        """Responses to each prompt that are learnt from."""
        return 1


def imitated(rewards: Tensor, permitted: Tensor, baselines: Tensor) -> tuple[Tensor, Tensor]:
    """Which response of each group is imitated, and its R: (P,) each. The number n is the baseline.

    rewards: (P, n), R_c. permitted: (P, n) bool, by judges and bound. baselines: (P,) bool, likewise. R is 0
    where nothing is permitted. Xu et al. 2024.
    """
    best, place = rewards.masked_fill(~permitted, -torch.inf).max(1)
    some, n = permitted.any(1), rewards.shape[1]
    of_baseline = OF_BASELINE * baselines.to(rewards)
    return torch.where(some, place, n), torch.where(some, best, of_baseline)


def worth(rollout: Rollout, config: CRRAFTConfig, processes: Processes) -> Graded:
    """The response of each prompt to imitate, with R. Rollout of P · (n + 1) rows -> P rows."""
    assert rollout.passes is not None
    n, own = config.n, calibrated(rollout, config.n)
    permitted = rollout.passes
    if config.kl_max is not None:
        permitted = permitted & (log_ratio(rollout) <= config.kl_max)
    groups = permitted.view(-1, n + 1)
    place, reward = imitated(own.reward.view(-1, n), groups[:, :n], groups[:, n])
    of_baseline, silent, mean = mean_over(processes, (place == n) & (reward > 0), reward == 0, own.reward)
    stats = {
        "objective/calibrated": mean,
        "constraints/imitated_baseline": of_baseline,
        "constraints/taught_nothing": silent,
    }
    rows = torch.arange(len(place), device=place.device) * (n + 1) + place
    whole = constraint_stats(own.own, processes) | stats
    return Graded(take(rollout, rows), reward, torch.ones_like(reward), whole)


def loss(logps: Tensor, batch: Graded, config: CRRAFTConfig) -> Loss:
    """Mean over the B prompts of a batch of −R log π(y|x). logps: (B, T)."""
    of_response = masked_sum(logps, batch.tokens.mask)
    return Loss(-(batch.advantages * of_response).mean(), batch.stats)


CRRAFT = RolloutTrainer(
    CRRAFTConfig,
    worth,
    loss,
    CalibratedRollouts,
    needs=("reference", "reward", "demonstrations", "constraints"),
    at_server=False,
)
"""Calibrated-regularised reward ranking fine-tuning of CGPO (Xu et al. 2024)."""
