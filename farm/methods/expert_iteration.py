"""Expert iteration: imitate the best of n of one's own responses.  Anthony et al. 2017, arXiv 1705.08439.

    D = { (x, argmax_(i ≤ n) r(x, y_i)) : y_i ~ π_ref(· | x) }
    L(θ) = −E_((x,y) ∈ D) Σ_t log π_θ(y_t | x, y_<t)  /  number of response tokens

paper   code                 differs from the paper
π_ref   models.reference()   one round, from the supervised model, as in AlpacaFarm (arXiv 2305.14387)
r       models.reward()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from farm.methods.best_of_n import BestOfNConfig, Scored, best, draw_scored
from farm.methods.sft import SFT, SFTConfig
from farm.models.tokens import Prompt
from farm.training.data import Data, Demonstration
from farm.training.method import DataKind, Models


class ExpertIterationConfig(SFTConfig, BestOfNConfig):
    """AlpacaFarm's: best of 16 at temperature 1 and top-p 0.9, then supervised fine-tuning as before."""

    top_p: float = 0.9
    """Draw among the likeliest tokens that together reach this probability; 1 draws among all."""


def best_demonstrations(scored: Scored) -> list[Demonstration]:
    """The best response to each prompt."""
    return [
        Demonstration(prompt, texts[i], ended=bool(ended[i]))
        for prompt, texts, ended, i in zip(
            scored.prompts, scored.texts, scored.ended, best(scored.scores).tolist(), strict=True
        )
    ]


class ExpertIteration(SFT):
    """Supervised fine-tuning on the best of n of the reference's responses."""

    Config: ClassVar[type[SFTConfig]] = ExpertIterationConfig
    data_kind: ClassVar[DataKind] = "instructions"

    def __init__(self, config: ExpertIterationConfig, data: Data[Prompt], models: Models) -> None:
        def learn_from(prompts: Sequence[Prompt]) -> list[Demonstration]:
            scored = draw_scored(models.reference(), models.reward(), prompts, config, config.seed)
            return best_demonstrations(scored)

        super().__init__(config, data.made(learn_from), models)
