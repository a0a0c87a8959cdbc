"""Direct preference optimisation.  Rafailov et al. 2023, arXiv 2305.18290.

    L(θ) = −E log σ( β log π_θ(y_w|x)/π_ref(y_w|x) − β log π_θ(y_l|x)/π_ref(y_l|x) )        (eq. 7)

paper   code               differs from the paper
β       config.beta
y_w     pairs.chosen       label_smoothing > 0 gives conservative DPO (Mitchell 2023, eq. 3)
y_l     pairs.rejected     a preference p < 1 weighs both directions, p L(w, l) + (1 − p) L(l, w); a tie is ½
π_ref   .reference         its log-probabilities are computed once for each row and kept
        pairs.mean_gap     length_normalised: log-ratios by token (Tülu 3, arXiv 2411.15124, section 4.3)
        config.nll         adds −log π_θ(y_w|x): RPO (Liu et al. 2024, arXiv 2405.16436); with nll_per_token
                           its mean over tokens: IRPO (Pang et al. 2024, arXiv 2404.19733, eq. 1)
"""

from __future__ import annotations

from torch import Tensor

from farm.config import option
from farm.models.ops import preference_loss
from farm.training.pair_method import BetaConfig, PairTrainer, RatedPairs


class DPOConfig(BetaConfig):
    """AlpacaFarm's: 2 epochs of batches of 64 at 1e-6, β 0.1."""

    label_smoothing: float = option(0.0, at_least=0, below=0.5)
    """Assumed share of labels that are the wrong way round."""
    length_normalised: bool = False
    """Divide each response's log-ratio by its number of tokens; beta is then larger, such as 5."""
    nll: float = option(0.0, at_least=0)
    """Weight of the negative log-likelihood of the chosen response: 0.005 in RPO, 1 in IRPO."""
    nll_per_token: bool = False
    """Take the mean of that term over the response's tokens, as IRPO does; else the sum, as RPO does."""


def dpo_loss(pairs: RatedPairs, config: DPOConfig) -> Tensor:
    """Loss of each pair: (B,). Rafailov et al. 2023, eq. 7; smoothing: Mitchell 2023, eq. 3."""
    chosen, rejected, p = pairs
    gap = pairs.mean_gap if config.length_normalised else pairs.gap
    smoothed = p * (1 - config.label_smoothing) + (1 - p) * config.label_smoothing
    losses = preference_loss(config.beta * gap, smoothed)
    if not config.nll:
        return losses
    nll = p * chosen.nll(config.nll_per_token) + (1 - p) * rejected.nll(config.nll_per_token)
    return losses + config.nll * nll


DPO = PairTrainer(DPOConfig, dpo_loss)
"""Direct preference optimisation (Rafailov et al. 2023)."""
