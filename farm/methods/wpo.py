"""WPO: DPO with pairs weighed as if the policy had written them.  Zhou et al. 2024, arXiv 2406.11827.

    L(θ) = −E w(y_w) w(y_l) log σ( β h )                                                      (eq. 2)
    w(y) = exp( 1/|y| Σ_t log π_θ(y_t|x, y_<t) − log Σ_v π_θ(v|x, y_<t)² ),   without gradient
    h    = log π_θ(y_w|x)/π_ref(y_w|x) − log π_θ(y_l|x)/π_ref(y_l|x)

paper   code               differs from the paper
w w     pair_weights       the product is at most 1, as in the authors' code; TRL does not cut it
E       loss               a mean over pairs, not over weights
        pairs.preference   a preference p < 1 weighs both directions; a tie is ½
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from farm.models.ops import masked_row_mean, masked_sum, preference_loss, spread, token_logps
from farm.models.tokens import Tokens
from farm.training.data import Data, PreferencePair
from farm.training.method import DataKind, Loss, Models, Need
from farm.training.pair_method import (
    BetaConfig,
    PairLogps,
    PairMethod,
    PairTrainer,
    RatedPairs,
    ReferencedPairs,
    implicit_reward,
    pair_stats,
    rated_pairs,
)


class WPOConfig(BetaConfig):
    """The paper's β; the rest as DPO's."""

    beta: float = 0.01


class TokenTerms(NamedTuple):
    """What the policy says of each response token: (B, T) each, 0 off the mask, in nats."""

    logps: Tensor  # log π(y_t)
    log_mass: Tensor  # log Σ_v π(v)², without gradient


def log_squared_mass(logits: Tensor) -> Tensor:
    """log Σ_v softmax(logits)_v²: (N, V) -> (N,)."""
    wide = logits.double() if logits.dtype == torch.float64 else logits.float()
    return (2 * wide).logsumexp(-1) - 2 * wide.logsumexp(-1)


def pair_weights(terms: TokenTerms, mask: Tensor) -> Tensor:
    """w(y_w) w(y_l), at most 1, without gradient: (B,) from (2 B, T), chosen rows first."""
    means = masked_row_mean(terms.logps.detach() - terms.log_mass, mask)
    return means.view(2, -1).sum(0).exp().clamp(max=1)


def wpo_loss(pairs: RatedPairs, weights: Tensor, config: WPOConfig) -> Tensor:
    """Loss of each pair: (B,). Zhou et al. 2024, eq. 2."""
    return weights * preference_loss(config.beta * pairs.gap, pairs.preference)


class WPO(PairMethod[WPOConfig]):
    """Weighted preference optimisation (Zhou et al. 2024)."""

    Config: ClassVar[type[WPOConfig]] = WPOConfig
    data_kind: ClassVar[DataKind] = "pairs"
    needs: ClassVar[tuple[Need, ...]] = ("reference",)

    def __init__(self, config: WPOConfig, data: Data[PreferencePair], models: Models) -> None:
        unweighted = PairTrainer(WPOConfig, lambda pairs, given: wpo_loss(pairs, torch.ones(()), given))
        super().__init__(config, unweighted, data, models)

    def terms(self, tokens: Tokens) -> TokenTerms:
        """What the policy says of each response token of some rows."""

        def measured(logits: Tensor, ids: Tensor) -> Tensor:
            return torch.stack([token_logps(logits, ids), log_squared_mass(logits.detach())], -1)

        logps, mass = self.policy.of_each_token(tokens, measured).unbind(-1)
        return TokenTerms(spread(logps, tokens.mask), spread(mass, tokens.mask))

    def loss(self, batch: ReferencedPairs) -> Loss:
        """The mean loss over the B pairs of a batch."""
        tokens = batch.pairs.both
        terms = self.terms(tokens)
        rated = rated_pairs(PairLogps(*masked_sum(terms.logps, tokens.mask).chunk(2)), batch)
        weights = pair_weights(terms, tokens.mask)
        losses = wpo_loss(rated, weights, self.config)
        rewards = (implicit_reward(side, self.config) for side in (rated.chosen, rated.rejected))
        stats = {**pair_stats(rated, PairLogps(*rewards)), "weights/pair": weights.mean()}
        return Loss(losses.mean(), stats)
