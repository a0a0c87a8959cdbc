"""PF-PPO: PPO on responses whose reward can be trusted.  Shen and Zhang 2024, arXiv 2409.06957.

    of n responses to a prompt, by their scores r:
    best         the best                             best_worst   the best and the worst
    best_random  the best, and one of the rest        all          every one, which is PPO
    choose the filter with the highest R² of r on the truth r* over the responses that it keeps

paper   code           differs from the paper
n       config.n       the authors' 5
keep    kept_rows      of each prompt's group. Of equal scores the first is the best, and the worst is another
                       response than the best. The one at random is a function of the seed and the rollout
A_t     PPO.lesson     whitened over the whole rollout, then chosen, as in the authors' code
ρ       no correction  for the choice, as in the paper: best_random is biased by design
R²      --filters      `farm over-optimisation --filters` measures it, with an interval
"""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from farm.config import option
from farm.methods.ppo import PPO, Lesson, PPOConfig
from farm.training.on_policy import RolloutPlan, seed_of
from farm.training.rows import take

Filter: TypeAlias = Literal["best", "best_random", "best_worst", "all"]


class PFPPOConfig(PPOConfig):
    """PPO's, with the authors' 5 responses to a prompt and their best filter."""

    n: int = option(5, at_least=2)
    """Responses drawn for each prompt of a rollout, some of which are learnt from."""
    filter: Filter = "best_random"
    """Which of them are learnt from: best, best_random, best_worst or all."""

    @property
    def kept(self) -> int:
        """Responses to each prompt that are learnt from."""
        return {"best": 1, "all": self.n}.get(self.filter, 2)


def kept_rows(scores: Tensor, n: int, how: Filter, uniform: Tensor) -> Tensor:
    """Numbers of the rows that a filter keeps, those of a prompt together: (P · n,) scores -> (P · kept,).

    uniform: (P,) in [0, 1), which chooses the response at random. Shen and Zhang 2024.
    """
    groups = scores.view(-1, n)
    start, best = torch.arange(len(groups), device=scores.device) * n, groups.argmax(1)
    if how == "all":
        return torch.arange(len(scores), device=scores.device)
    if how == "best":
        return start + best
    others = groups.scatter(1, best[:, None], torch.inf).argmin(1)
    if how == "best_random":
        others = (best + 1 + (uniform.to(scores.device) * (n - 1)).long()) % n
    return (start[:, None] + torch.stack([best, others], 1)).flatten()


class PFPPO(PPO):
    """Policy filtration for PPO (Shen and Zhang 2024)."""

    Config: ClassVar[type[PFPPOConfig]] = PFPPOConfig
    config: PFPPOConfig

    def learnt(self, plan: RolloutPlan) -> Lesson:
        """The lesson of a rollout, with the responses that the filter keeps."""
        lesson, config, processes = super().learnt(plan), self.config, self.feed.processes
        generator = torch.Generator().manual_seed(seed_of("filter", plan.seed, 0))
        uniform = torch.rand(len(plan.whole), generator=generator)
        mine = uniform if plan.held_out else uniform[processes.rank :: processes.size]
        scores = lesson.experience.rollout.score
        return take(lesson, kept_rows(scores, config.n, config.filter, mine))
