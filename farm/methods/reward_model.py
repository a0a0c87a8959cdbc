"""A reward model from preferences.  Bradley and Terry 1952; Stiennon et al. 2020, arXiv 2009.01325.

    L(φ) = −E log σ( r_φ(x, y_w) − r_φ(x, y_l) )      (Ouyang et al. 2022, arXiv 2203.02155, eq. 1, K = 2)

paper   code               differs from the paper
r_φ     scores             a scalar head at the last token of y, its end of sequence; AlpacaFarm reads the
                           last token of text. Scores are not shifted to mean 0 on references before RL
y_w     batch.chosen       a preference p < 1 weighs both directions; a tie is ½
m(r)    config.margin      times batch.strength, which is subtracted from the difference (Touvron et al. 2023,
                           arXiv 2307.09288, eq. 2; there 1 or 3 for "significantly better", table 27)
        config.centring    adds centring · (r_w + r_l)², which keeps scores around 0 (Eisenstein et al. 2023)
"""

from __future__ import annotations

from torch import Tensor

from farm.config import TrainConfig, option
from farm.models.ops import preference_loss
from farm.training.batches import PairBatch
from farm.training.score_method import PairScores, ScoreTrainer


class RewardModelConfig(TrainConfig):
    """AlpacaFarm's: 1 epoch of batches of 16 at 3e-6."""

    batch_size: int = 16
    """Pairs per optimizer step, over all processes."""
    learning_rate: float = 3e-6
    centring: float = option(0.0, at_least=0)
    """Weight of the term that keeps the scores of a pair around 0."""
    margin: float = option(0.0, at_least=0)
    """By how much the preferred output's score should lead where it is better by all of the scale; less in
    proportion to the strength."""


def reward_model_loss(
    scores: PairScores, preference: Tensor | float, margin: Tensor | float = 0.0, centring: float = 0.0
) -> Tensor:
    """Loss of each pair: (B,). Bradley and Terry 1952; Ouyang et al. 2022, eq. 1.

    preference: P(chosen preferred) in [0, 1]. margin: in units of the score. Both (B,) or one number.
    """
    losses = preference_loss(scores.margin - margin, preference)
    return losses + centring * (scores.chosen + scores.rejected).square()


def batch_loss(scores: PairScores, batch: PairBatch, config: RewardModelConfig) -> Tensor:
    """Loss of each pair of a batch: (B,)."""
    return reward_model_loss(scores, batch.preference, config.margin * batch.strength, config.centring)


RewardModel = ScoreTrainer(RewardModelConfig, batch_loss)
"""A Bradley-Terry reward model."""
