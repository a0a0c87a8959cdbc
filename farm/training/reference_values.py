"""A feed of rollouts with the value of each prompt, which is known from the reference's responses alone.

The best policy that is held to the reference by β KL has the value V*(x) = β log E_(y ~ π_ref) exp(r(x, y)/β)
(Brantley et al. 2025, arXiv 2505.20686). So it can be estimated before training, once for each prompt.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from farm.config import option
from farm.models.tokens import Prompt
from farm.training.batches import Rollout
from farm.training.on_policy import L, RolloutPlan, Rollouts, seed_of
from farm.training.rollout import RolloutConfig


class ValuedConfig(RolloutConfig):
    """The value of a prompt is estimated from responses of the reference."""

    value_draws: int = option(8, at_least=1)
    """Responses of the reference to each prompt, from which its value is estimated, once."""
    value_beta: float = option(0.5, above=0)
    """β of the value, in units of the score: towards 0 the best response counts, at large ones the mean."""


class ValuedRollouts(Rollouts[L]):
    """A feed of rollouts whose `values` are V* of the prompt, at every token.

    The responses that a value is made of are a function of the seed and the prompt. A value is kept for the
    run; a resumed run draws them again.
    """

    config: ValuedConfig

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._known: dict[Prompt, float] = {}

    def drawn(self, plan: RolloutPlan) -> Rollout:
        """A rollout with the value of each prompt."""
        rollout = super().drawn(plan)
        if any(prompt not in self._known for prompt in plan.whole):  # the same on every process
            self._estimate(plan)
        known = [self._known[prompt] for prompt in plan.prompts for _ in range(self.config.n)]
        values = torch.tensor(known, device=rollout.values.device)
        return rollout._replace(values=values[:, None].expand_as(rollout.values).contiguous())

    @torch.no_grad()
    def _estimate(self, plan: RolloutPlan) -> None:
        """Learn the values of a rollout's prompts, each process those of its share."""
        config, of = self.config, self.processes
        apart = plan._replace(seed=seed_of("values", config.seed, 0))
        drawn = self.responses(apart, self.reference, config.value_draws)
        values = optimal_value(self.scores(drawn).view(-1, config.value_draws), config.value_beta)
        everyone = [prompt for rank in range(of.size) for prompt in plan.whole[rank :: of.size]]
        self._known.update(zip(everyone, of.gathered(values).tolist(), strict=True))


def optimal_value(scores: Tensor, beta: float) -> Tensor:
    """β log mean exp(r/β) over the responses to each prompt: (P, K) -> (P,). Brantley et al. 2025."""
    return beta * ((scores / beta).logsumexp(-1) - math.log(scores.shape[-1]))
