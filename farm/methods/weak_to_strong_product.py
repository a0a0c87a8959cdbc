"""Weak-to-strong, product form: a target of weak label and own belief.  Burns et al. 2023, 2312.09390, code.

    L(φ) = CE( q^β p / (q^β p + (1 − q)^β (1 − p)), q ),   q = σ( r_φ(x, y_w) − r_φ(x, y_l) )

paper   code                differs from the paper
p       batch.preference    soft labels of the weak model. A label of 1 stays what it is, whatever q says
β       config.beta         the authors' 1. They also have an exponent on p, which is 1
q       margin              in the target without gradient
"""

from __future__ import annotations

import torch
from torch import Tensor

from farm.config import TrainConfig, option
from farm.models.ops import preference_loss
from farm.training.batches import PairBatch
from farm.training.score_method import PairScores, ScoreTrainer


class WeakToStrongProductConfig(TrainConfig):
    """The authors' β, 2 epochs of batches of 32; the learning rate is the reward model's."""

    epochs: float = 2.0
    batch_size: int = 32
    """Pairs per optimizer step, over all processes."""
    learning_rate: float = 3e-6
    beta: float = option(1.0, at_least=0)
    """Exponent of the model's own probability in its target; 0 leaves the weak label."""


def product_target(margin: Tensor, preference: Tensor, beta: float) -> Tensor:
    """σ(β margin + logit p), which is the product of both, normalised: (B,), without gradient."""
    return torch.sigmoid(beta * margin.detach() + torch.logit(preference))


def product_loss(scores: PairScores, batch: PairBatch, config: WeakToStrongProductConfig) -> Tensor:
    """Loss of each pair: (B,)."""
    return preference_loss(scores.margin, product_target(scores.margin, batch.preference, config.beta))


WeakToStrongProduct = ScoreTrainer(WeakToStrongProductConfig, product_loss)
"""A reward model of weak labels, with the product loss of the authors' code (Burns et al. 2023)."""
