"""Pairwise PPO: a judge compares a response with an anchor.  Xu et al. 2025, arXiv 2504.04950, our reading.

    r(x, y) = 1/K Σ_k P(y preferred to a_k),   a_1 … a_K the anchors of x
    r_t     = −β log π_old(y_t|·)/π_ref(y_t|·) + 1[t = T] ( r(x, y) − ½ )                    (PPO's)

paper   code              differs from the paper
a_k     AnchoredRollouts  drawn once from the reference. The paper's anchor is the ground truth's response
P       models.judge()    an annotator, or a reward model by its scores. The paper's is a generative model;
                          --orders both asks it in both orders
½       worth of a tie    not in the paper: a response as good as its anchor is paid nothing, so that a value
                          model that starts at 0 is right at first
        PPO               with all its options
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from farm.config import option
from farm.methods.ppo import PPO, PPOConfig
from farm.training.batches import Rollout
from farm.training.judged_rollouts import AnchoredConfig, AnchoredRollouts
from farm.training.method import Need, Stats
from farm.training.on_policy import Rollouts
from farm.training.rollout import mean_over

TIE = 0.5


class PairwisePPOConfig(PPOConfig, AnchoredConfig):
    """PPO's, with one anchor for each prompt."""

    missing_eos_penalty: float = option(0.0, at_least=0)
    """Taken off the log-odds of a response that was cut; off its score, where a reward model judges."""


class PairwisePPO(PPO):
    """PPO on preferences over an anchor, the policy half of Pairwise-RL (Xu et al. 2025)."""

    Config: ClassVar[type[PairwisePPOConfig]] = PairwisePPOConfig
    needs: ClassVar[tuple[Need, ...]] = ("reference", "judge")
    rollouts: ClassVar[type[Rollouts[Any]]] = AnchoredRollouts

    def reward(self, rollout: Rollout) -> tuple[Tensor, Stats]:
        """PPO's reward of each token, where a tie with the anchor is worth 0: (B, T)."""
        found, said = super().reward(rollout._replace(score=rollout.score - TIE))
        assert rollout.preferences is not None
        unknown = rollout.preferences.isnan().double().mean(-1)
        (without,) = mean_over(self.feed.processes, unknown)
        return found, {**said, "judging/without_judgement": without}
