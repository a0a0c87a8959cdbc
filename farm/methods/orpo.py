"""ORPO: imitation with a penalty on the odds of the rejected response.  Hong et al. 2024, arXiv 2403.07691.

    L(θ) = E [ −m_w − λ log σ( log odds(m_w) − log odds(m_l) ) ]                     (eqs. 6 and 7)
    m    = log π_θ(y|x) / |y|,   log odds(m) = m − log(1 − exp(m))

paper   code               differs from the paper
λ       config.beta
−m_w    .nll               by response. The authors' code and TRL take one mean over the tokens of a batch,
                           with those of the prompts
E       both_ways          a preference p < 1 weighs both directions; a tie is ½
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from farm.models.ops import log_complement
from farm.training.data import DataError
from farm.training.pair_method import BetaConfig, PairTrainer, RatedPairs, RatedResponses, both_ways


class ORPOConfig(BetaConfig):
    """The paper's λ; the rest as DPO's."""


def log_odds(mean: Tensor) -> Tensor:
    """log p/(1 − p) of p = exp(m), m < 0 in nats, any shape. Raises DataError where a probability is 1."""
    if bool((mean >= 0).any()):
        what = "a response has probability 1 under the policy, so its odds are infinite"
        raise DataError(what, where="orpo", remedy="lower learning_rate, or use a method without odds: simpo")
    return mean - log_complement(mean)


def orpo_loss(pairs: RatedPairs, config: ORPOConfig) -> Tensor:
    """Loss of each pair: (B,). Hong et al. 2024, eqs. 6 and 7."""
    ratio = log_odds(pairs.chosen.mean) - log_odds(pairs.rejected.mean)
    return pairs.chosen.nll(per_token=True) - config.beta * logsigmoid(ratio)


def reward(responses: RatedResponses, config: ORPOConfig) -> Tensor:
    """λ times the mean log-probability of a token, to log: (B,)."""
    return config.beta * responses.mean


ORPO = PairTrainer(ORPOConfig, both_ways(orpo_loss), reward, needs=())
"""Odds-ratio preference optimisation (Hong et al. 2024)."""
