"""RTO: DPO's token rewards in PPO.  Zhong et al. 2024, arXiv 2404.18922.

    r_t = clip( β₁ log π_dpo(y_t|·)/π_ref(y_t|·), ±c ) − β₂ log π_old(y_t|·)/π_ref(y_t|·) + 1[t = T] β₃ r

paper   code                   differs from the paper
β₁, c   config.token_weight    the clip, token_clip, comes after the factor, as in the authors' code. A weight
                               of 0 leaves the term out, where their code takes it for 1
β₂      config.beta            of PPO's KL penalty
β₃      config.score_weight    the authors' code divides r by a deviation that its reward model keeps. Here
                               r is as the reward model gives it
π_dpo   models.token_reward()  any policy that was trained against a reference, such as by dpo. With one of
                               implicit_prm these are implicit process rewards in ppo (Yuan et al. 2024,
                               arXiv 2412.01981), against the reference that its folder names
Σ_t     config.delayed         not in the paper: the whole term on the last token, which tells whether the
                               gain is one of credit
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from farm.config import option
from farm.methods.ppo import PPO, PPOConfig
from farm.models.forward import autocast
from farm.models.ops import last_token, masked_sum
from farm.models.tokens import Prompt
from farm.training.batches import Rollout
from farm.training.data import Data
from farm.training.method import Models, Need, Stats
from farm.training.rollout import mean_over, rated


class RTOConfig(PPOConfig):
    """The authors' β₁ = c = 0.05, β₂ 0.01, β₃ 1; the rest as PPO's."""

    beta: float = option(0.01, at_least=0)
    """Weight of the KL divergence from the reference in the reward; where it starts, with a kl_target."""
    token_weight: float = option(0.05, at_least=0)
    """Weight of the log-ratio that rates each token; 0 is ppo."""
    token_clip: float = option(0.05, above=0)
    """What the weighed log-ratio of a token is at most, in size."""
    score_weight: float = option(1.0, at_least=0)
    """Weight of the reward model's score of the whole response."""
    delayed: bool = False
    """Pay the sum of a response's token rewards on its last token."""


def token_term(log_ratio: Tensor, mask: Tensor, config: RTOConfig) -> Tensor:
    """The first term of r_t: (B, T), 0 off the mask. log_ratio: of each token, in nats."""
    weighed = (config.token_weight * log_ratio).clamp(-config.token_clip, config.token_clip)
    weighed = weighed.masked_fill(mask == 0, 0.0)
    if not config.delayed:
        return weighed
    return torch.zeros_like(weighed).scatter(1, last_token(mask)[:, None], masked_sum(weighed, mask)[:, None])


class RTO(PPO):
    """Reinforced token optimisation (Zhong et al. 2024)."""

    Config: ClassVar[type[RTOConfig]] = RTOConfig
    needs: ClassVar[tuple[Need, ...]] = ("reference", "reward", "token_reward")
    config: RTOConfig

    def __init__(self, config: RTOConfig, data: Data[Prompt], models: Models) -> None:
        super().__init__(config, data, models)
        self.token_reward = models.token_reward() if config.token_weight else None

    def reward(self, rollout: Rollout) -> tuple[Tensor, Stats]:
        """PPO's reward of each token with the log-ratio's added: (B, T)."""
        plain, said = super().reward(rollout._replace(score=self.config.score_weight * rollout.score))
        if self.token_reward is None:
            return plain, said
        token_rewards, temperature = self.token_reward.token_rewards, self.config.temperature
        with torch.no_grad(), autocast(self.config):
            log_ratio = rated(lambda part: token_rewards(part, temperature), rollout.tokens)
        term = token_term(log_ratio, rollout.tokens.mask, self.config).to(plain)
        (paid,) = mean_over(self.feed.processes, term.sum(-1))
        return plain + term, {**said, "objective/token_rewards": paid}
