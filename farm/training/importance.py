"""Truncated importance sampling: makes up for responses that an older or otherwise rounded policy drew.

    w_t = min( π_old(y_t | x, y_<t) / π_sampler(y_t | x, y_<t), C )     Ionides 2008; Yao et al. 2025
    A_t ← w_t A_t

π_old is the policy at the time of the rollout, π_sampler what the server drew with. Losses here are linear in
advantages as long as these keep their sign, and w_t > 0. So a weight on the advantage is one on the
loss of the token, the clipped one included; the KL term keeps its weight 1. Where a response has one
advantage, the ratio is that of the whole response, truncated at the same C.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from farm.models.ops import masked_row_mean, masked_sum
from farm.training.batches import Rollout
from farm.training.processes import Processes
from farm.training.rollout import mean_over

L = TypeVar("L")


def token_weights(rollout: Rollout, cap: float) -> Tensor:
    """w of each response token: (B, T), 1 off the mask."""
    assert rollout.sampler_logps is not None
    return (rollout.logps - rollout.sampler_logps).exp().clamp(max=cap)


def response_weights(rollout: Rollout, cap: float) -> Tensor:
    """The truncated ratio of each whole response: (B,)."""
    assert rollout.sampler_logps is not None
    return masked_sum(rollout.logps - rollout.sampler_logps, rollout.tokens.mask).exp().clamp(max=cap)


def corrected(lesson: L, cap: float, processes: Processes) -> L:
    """The advantages times their weights, and what the weights are among the stats.

    lesson: Credit, Graded, or a tuple of an `experience` and stats. One whose rollout was drawn in this
    process is returned as it is.
    """
    whole: Any = lesson
    drawn: Any = getattr(whole, "experience", whole)
    if drawn.rollout.sampler_logps is None:
        return lesson
    of_response = drawn.advantages.ndim == 1
    weights = (response_weights if of_response else token_weights)(drawn.rollout, cap)
    advantages = drawn.advantages * weights.to(drawn.advantages)
    stats = {**whole.stats, **weight_stats(drawn.rollout, weights, cap, processes)}
    if drawn is whole:
        return cast(L, whole._replace(advantages=advantages, stats=stats))
    return cast(L, whole._replace(experience=drawn._replace(advantages=advantages), stats=stats))


def weight_stats(rollout: Rollout, weights: Tensor, cap: float, processes: Processes) -> dict[str, Tensor]:
    """Means over the responses of all processes, each of its tokens' mean: scalars.

    served/apart: |log π_old − log π_sampler| of a token, in nats. served/weight: w. served/capped: the share
    of w that was truncated. weights: (B, T) or (B,).
    """
    assert rollout.sampler_logps is not None
    mask = rollout.tokens.mask
    apart = masked_row_mean((rollout.logps - rollout.sampler_logps).abs(), mask)
    of_rows = [weights, (weights >= cap).to(weights)]
    if weights.ndim > 1:
        of_rows = [masked_row_mean(each, mask) for each in of_rows]
    found = mean_over(processes, apart, *map(torch.nan_to_num, of_rows))
    return dict(zip(("served/apart", "served/weight", "served/capped"), found, strict=True))
