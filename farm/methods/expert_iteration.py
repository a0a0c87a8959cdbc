"""Expert iteration: imitate the best of n of one's own responses.  Anthony et al. 2017, arXiv 1705.08439.

    D = { (x, argmax_(i ≤ n) r(x, y_i)) : y_i ~ π_ref(· | x) }
    L(θ) = −E_((x,y) ∈ D) Σ_t log π_θ(y_t | x, y_<t)  /  number of response tokens

paper   code                 differs from the paper
π_ref   models.reference()   one round, from the supervised model, as in AlpacaFarm (arXiv 2305.14387)
r       models.reward()
"""

from __future__ import annotations

from collections.abc import Sequence

from farm.methods.best_of_n import BestOfNConfig, Scored, best, draw_scored
from farm.methods.sft import ImitationTrainer, SFTConfig
from farm.models.tokens import Prompt
from farm.training.data import Demonstration
from farm.training.method import Models


class ExpertIterationConfig(SFTConfig, BestOfNConfig):
    """AlpacaFarm's: best of 16 at temperature 1 and top-p 0.9, then supervised fine-tuning as before."""

    top_p: float = 0.9
    """Draw among the likeliest tokens that together reach this probability; 1 draws among all."""


def best_demonstrations(scored: Scored) -> list[Demonstration]:
    """The best of the n responses to each of P prompts: P demonstrations."""
    return [
        Demonstration(prompt, texts[i], ended=bool(ended[i]))
        for prompt, texts, ended, i in zip(
            scored.prompts, scored.texts, scored.ended, best(scored.scores).tolist(), strict=True
        )
    ]


def demonstrations(
    prompts: Sequence[Prompt], config: ExpertIterationConfig, models: Models
) -> list[Demonstration]:
    """The best of the reference's n responses to each prompt.

    Raises DataError on a score that is not finite.
    """
    return best_demonstrations(
        draw_scored(models.reference(), models.reward(), prompts, config=config, seed=config.seed)
    )


ExpertIteration = ImitationTrainer(
    ExpertIterationConfig, "instructions", demonstrations, needs=("reference", "reward")
)
"""Supervised fine-tuning on the best of n of the reference's responses."""
