"""Several reward models as one.  Coste et al. 2023, arXiv 2310.02743; Eisenstein et al. 2023, 2312.09244.

    z_i = (r_i − μ_i) / s_i · s̄ + μ̄                      each member on one scale
    mean: 1/k Σ_i z_i      minimum: min_i z_i      lower bound: 1/k Σ_i z_i − c · sd_i(z_i)

paper   code               differs from the paper
r_i     members            preferences fix a score up to a shift only. Without μ_i the minimum follows the
                           member with the lowest offset
μ_i     Standard           mean and deviation of the member's scores of given outputs; μ̄ and s̄ are the means
                           over members, so that an ensemble of one model is this model
c       factor             the papers' "uncertainty-weighted" form subtracts the variance. Here it is the
                           standard deviation, with k − 1 in the denominator
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from farm.config import Combination
from farm.models.tokens import Prompt


class ScoreTexts(Protocol):
    """Scores of responses, higher is better: (B,)."""

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor: ...


class Standard(NamedTuple):
    """Mean and standard deviation of a member's scores of the outputs that all members scored."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, scores: Tensor) -> Standard:
        """The standard of scores (n,). The deviation has n − 1 in its denominator."""
        return cls(float(scores.double().mean()), float(scores.double().std()))


class Opinions(NamedTuple):
    """What an ensemble says about B responses."""

    score: Tensor  # (B,)
    disagreement: Tensor  # (B,) standard deviation over the members


def standardised(scores: Tensor, standards: Sequence[Standard]) -> Tensor:
    """Scores of k members on one scale: (k, B) -> (k, B)."""
    means, deviations = (torch.tensor(column).to(scores)[:, None] for column in zip(*standards, strict=True))
    return (scores - means) / deviations * deviations.mean() + means.mean()


def combined(scores: Tensor, how: Combination, factor: float) -> Tensor:
    """The score of the ensemble: (k, B) -> (B,). factor: standard deviations below the mean."""
    if how == "minimum":
        return scores.amin(0)
    return scores.mean(0) - (factor * scores.std(0) if how == "lower_bound" else 0.0)


class Ensemble:
    """Two or more reward models that score as one: texts in, scores (B,) out.

    A score is NaN or infinite where a member's is.
    """

    def __init__(
        self, members: Sequence[ScoreTexts], standards: Sequence[Standard], how: Combination, factor: float
    ) -> None:
        self.members, self.standards, self.how, self.factor = members, standards, how, factor

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        return self.opinions(prompts, responses).score

    def opinions(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Opinions:
        """Scores and disagreement: (B,) each."""
        scores = torch.stack([member(prompts, responses) for member in self.members])
        on_one_scale = standardised(scores, self.standards)
        score = combined(on_one_scale, self.how, self.factor)
        score = score.masked_fill(scores.isinf().any(0), torch.inf)
        return Opinions(score, on_one_scale.std(0))
