"""Dynamic sampling: groups of one score teach nothing, so other prompts are drawn in their place.

The prompts and the seed of each further draw are a function of the rollout and the number of the draw. So a
resumed run draws the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.nn.functional import pad

from farm.config import option
from farm.training.batches import Rollout
from farm.training.on_policy import L, RolloutPlan, Rollouts, seed_of
from farm.training.rollout import RolloutConfig
from farm.training.rows import gathered, take

SPREAD = 1e-6  # scores that differ by less are one score: sums of floats are inexact

T = TypeVar("T")


class DynamicConfig(RolloutConfig):
    """A rollout is filled with groups whose scores differ."""

    redraws: int = option(3, at_least=0)
    """Further draws of other prompts, at most, to fill a rollout with groups whose scores differ; 0: none."""


class DynamicRollouts(Rollouts[L]):
    """A feed of rollouts without groups of one score.

    `drawn` gives the whole rollout, the same on every process. Its metric sampling/useful is the share of the
    groups drawn whose scores differed. Where they are too few for the minibatches, groups of one score from
    the first draw fill them up.
    """

    config: DynamicConfig

    def batches(self, start: int) -> Iterator[list[L]]:
        """The batches of each optimizer step, from step `start` on."""
        for plan in self.plans(start):
            batch: Any = self.learn(plan)
            useful = torch.tensor(self._useful, device=batch.tokens.ids.device)
            yield from self.dealt(plan, batch._replace(stats={**batch.stats, "sampling/useful": useful}))

    def drawn(self, plan: RolloutPlan) -> Rollout:
        """Draw until the rollout is full, or `redraws` are used up; a held-out rollout is drawn once."""
        if plan.held_out:
            return super().drawn(plan)
        n, wanted, seen = self.config.n, len(plan.whole), 0
        kept, flat = list[Rollout](), list[Rollout]()
        found = 0
        for number in range(self.config.redraws + 1):
            part = gathered(super().drawn(self._other(plan, number)), self.processes, n)
            seen += len(part.score)
            differ = differing(part.score, n)
            found += int(differ.sum())
            kept += [take(part, differ.nonzero()[:, 0])] if differ.any() else []
            flat += [take(part, (~differ).nonzero()[:, 0])] if not number and not differ.all() else []
            if found >= wanted * n:
                break
        self._useful = found / seen
        least = n * math.ceil(self.config.minibatches * self.processes.size / n)
        return take(stacked_rows(kept + flat), torch.arange(max(least, min(wanted * n, found))))

    def _other(self, plan: RolloutPlan, number: int) -> RolloutPlan:
        """The plan of a further draw: as many prompts, chosen by the rollout's seed."""
        if not number:
            return plan
        seed = seed_of("other prompts", plan.seed, number)
        order = torch.randperm(len(self.source.rows), generator=torch.Generator().manual_seed(seed))
        prompts = [self.source.rows[i] for i in order[: len(plan.whole)].tolist()]
        mine = prompts[self.processes.rank :: self.processes.size]
        return plan._replace(seed=seed, prompts=mine, whole=prompts)


def differing(scores: Tensor, n: int) -> Tensor:
    """Whether a row is of a group whose scores differ: (P · n,) -> (P · n,) bool."""
    groups = scores.view(-1, n)
    wide = (groups.amax(1) - groups.amin(1)) > SPREAD * groups.abs().amax(1).clamp(min=1)
    return wide.repeat_interleave(n)


def stacked_rows(parts: Sequence[T]) -> T:
    """The rows of several named tuples of tensors as one; those of (B, T) are filled up at the right."""
    first: Any = parts[0]
    if isinstance(first, Tensor):
        tensors = cast(Sequence[Tensor], parts)
        if first.ndim < 2:
            return cast(T, torch.cat(list(tensors)) if first.ndim else first)
        width = max(each.shape[1] for each in tensors)
        return cast(T, torch.cat([pad(each, (0, width - each.shape[1])) for each in tensors]))
    if isinstance(first, tuple):
        return cast(T, type(first)(*map(stacked_rows, zip(*cast(Any, parts), strict=True))))
    return cast(T, first)
