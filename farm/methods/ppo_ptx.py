"""PPO-ptx, InstructGPT's PPO: it also imitates demonstrations.  Ouyang et al. 2022, arXiv 2203.02155.

    L(θ) = L_ppo(θ) − γ Σ_i log π_θ(d_i) / number of response tokens                          (eq. 2)
    r    ← r − mean of r over the demonstrations                                              (sec. 3.5)

paper   code                   differs from the paper
L_ppo   PPO.loss               mean over the response tokens of a step, as of the second sum
d_i     lesson.imitated        a demonstration for each response, drawn anew for each rollout: the output,
                               given its prompt. The paper has text of the pretraining corpus, eight times as
                               much of it
γ       config.ptx_coef        the paper's 27.8 belongs to its own scale of L_ppo, which it does not state
r       config.center_scores   shifts the rewards of every response alike
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from farm.config import option
from farm.methods.ppo import PPO, Lesson, PPOConfig
from farm.models.codec import collate
from farm.models.ops import masked_sum
from farm.models.tokens import Prompt, Tokens
from farm.training.data import Data, DataError
from farm.training.feed import demonstrations
from farm.training.method import Loss, Models, Need, RewardFn
from farm.training.on_policy import RolloutPlan, seed_of


class PPOPtxConfig(PPOConfig):
    """PPO's options, with InstructGPT's β of 0.02."""

    beta: float = option(0.02, at_least=0)
    """Weight of the KL divergence from the reference in the reward; where it starts, with a kl_target."""
    ptx_coef: float = option(0.05, at_least=0)
    """Weight γ of the log-likelihood of demonstrations; 0 is ppo."""
    center_scores: bool = True
    """Shift the scores, so that those of the demonstrations have mean 0."""


def centred(reward: RewardFn, mean: float) -> RewardFn:
    """The reward minus a constant."""

    def shifted(prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        return reward(prompts, responses) - mean

    return shifted


def shuffled(count: int, of: int, seed: int) -> Tensor:
    """`count` numbers below `of`, in shuffled rounds that have each of them once: (count,)."""
    generator = torch.Generator().manual_seed(seed)
    rounds = [torch.randperm(of, generator=generator) for _ in range(math.ceil(count / of))]
    return torch.cat(rounds)[:count]


class PPOPtx(PPO):
    """Proximal policy optimisation with demonstrations mixed in (Ouyang et al. 2022)."""

    Config: ClassVar[type[PPOPtxConfig]] = PPOPtxConfig
    needs: ClassVar[tuple[Need, ...]] = ("reference", "reward", "demonstrations")
    config: PPOPtxConfig

    def __init__(self, config: PPOPtxConfig, data: Data[Prompt], models: Models) -> None:
        super().__init__(config, data, models)
        shown = data.demonstrations
        if not shown:
            raise DataError("there are no demonstrations", remedy="name a set with --demonstrations")
        self.rows = demonstrations(Data(shown), self.policy.codec, config, self.policy.device).rows
        if config.center_scores:
            scores = self.feed.reward([each.prompt for each in shown], [each.output for each in shown])
            self.feed.reward = centred(self.feed.reward, float(scores.double().mean()))

    def learnt(self, plan: RolloutPlan) -> Lesson:
        """PPO's lesson of a rollout, with the number of a demonstration for each response."""
        processes, n = self.feed.processes, self.config.kept
        count, seed = len(plan.whole) * n, seed_of("demonstrations", plan.seed, 0)
        numbers = shuffled(count, len(self.rows), seed).view(-1, n)
        mine = numbers[processes.rank :: processes.size].flatten()
        return super().learnt(plan)._replace(imitated=mine)

    def imitated(self, batch: Lesson) -> Tokens:
        """The demonstrations of a batch, one for each response."""
        assert batch.imitated is not None
        rows = [self.rows[i] for i in batch.imitated.tolist()]
        return collate(rows, self.policy.codec.pad_id, self.policy.device)

    def loss(self, batch: Lesson) -> Loss:
        """PPO's loss minus γ times the log-likelihood of demonstrations, for each response token."""
        total, stats = super().loss(batch)
        tokens = self.imitated(batch)
        likelihood = masked_sum(self.policy(tokens), tokens.mask).sum() / batch.weight
        weight = self.config.ptx_coef * batch.policy_weight.to(likelihood)
        return Loss(total - weight * likelihood, {**stats, "loss/ptx": -likelihood.detach()})
