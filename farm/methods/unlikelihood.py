"""Unlikelihood: imitate good outputs, and make the tokens of bad ones less likely.

Korbak et al. 2023, arXiv 2302.08582, section 2; Welleck et al. 2019, arXiv 1908.04319.

    L(θ) = −E_t log p_t  of a token of a good output,   −α E_t log(1 − p_t)  of a bad one
    p_t  = π_θ(y_t|x, y_<t)

paper   code               differs from the paper
α       config.bad_weight
R ≥ t   by_label           a label p < 1 weighs both terms, as the authors' code does without a threshold
E       loop               every token of a step counts the same; the paper has a score for each sentence
"""

from __future__ import annotations

from torch import Tensor

from farm.config import option
from farm.models.ops import log_complement
from farm.training.judged_method import by_label
from farm.training.token_method import TokenConfig, TokenTrainer


class UnlikelihoodConfig(TokenConfig):
    """The paper's α; the rest as supervised fine-tuning's."""

    bad_weight: float = option(1.0, at_least=0)
    """Weight of the tokens of bad outputs, α."""


def unlikelihood_loss(logps: Tensor, label: Tensor, config: UnlikelihoodConfig) -> Tensor:
    """Loss of each token: (B, T). Korbak et al. 2023. 1 − p is at least 1e-20, as in the authors' code."""
    return by_label(-logps, -config.bad_weight * log_complement(logps.clamp(max=-1e-20)), label)


Unlikelihood = TokenTrainer(UnlikelihoodConfig, unlikelihood_loss)
"""Likelihood of good outputs and unlikelihood of bad ones (Korbak et al. 2023)."""
