"""SLiC: a hinge loss on log-probabilities, held by imitation.  Zhao et al. 2023, arXiv 2305.10425.

    L(θ) = E max(0, δ − log π_θ(y_w|x) + log π_θ(y_l|x)) − λ log π_θ(y_w|x)

paper   code               differs from the paper
δ       config.delta       in nats
λ       config.nll         imitates y_w, for a pair has no target of supervised fine-tuning
E       both_ways          a preference p < 1 weighs both directions; a tie is ½
"""

from __future__ import annotations

from torch import Tensor

from farm.config import option
from farm.training.pair_method import PairConfig, PairTrainer, RatedPairs, RatedResponses, both_ways


class SLiCConfig(PairConfig):
    """δ 1 and λ 0.1; the rest as DPO's."""

    delta: float = option(1.0, at_least=0)
    """By how many nats the preferred response is to be the likelier one."""
    nll: float = option(0.1, at_least=0)
    """Weight of the negative log-likelihood of the preferred response, a sum over its tokens."""


def slic_loss(pairs: RatedPairs, config: SLiCConfig) -> Tensor:
    """Loss of each pair: (B,)."""
    chosen, rejected, _ = pairs
    return (config.delta - chosen.logps + rejected.logps).relu() - config.nll * chosen.logps


def reward(responses: RatedResponses, config: SLiCConfig) -> Tensor:
    """log π_θ(y|x), to log: (B,)."""
    return responses.logps


SLiC = PairTrainer(SLiCConfig, both_ways(slic_loss), reward, needs=())
"""Sequence likelihood calibration on pairs (Zhao et al. 2023)."""
