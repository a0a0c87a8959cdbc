"""Reward conditioning: learn responses under a token for their quality, then ask for the best.

Keskar et al. 2019, arXiv 1909.05858; Lu et al. 2022, arXiv 2205.13636 (one round of it, with no KL term).

    D = { (x, c_k, y_i) : y_i ~ π_ref(· | x),  k the quantile of r(x, y_i) among all responses }
    L(θ) = −E_((x,c,y) ∈ D) Σ_t log π_θ(y_t | x, c, y_<t)  /  number of response tokens

paper   code                 differs from the paper
c_k     control_tokens       a token between prompt and response; the saved template asks for the best.
                             Equal scores share a level, and the best score has the highest; Lu et al. cut
                             by rank
K       config.levels
r       models.reward()
"""

from __future__ import annotations

from collections.abc import Sequence

from farm.config import option
from farm.methods.best_of_n import BestOfNConfig, Scored, draw_scored
from farm.methods.sft import ImitationTrainer, SFTConfig
from farm.models.tokens import Prompt
from farm.training.controls import control_problems, control_tokens, quantile_levels
from farm.training.data import Demonstration
from farm.training.method import Models


class RewardConditioningConfig(SFTConfig, BestOfNConfig):
    """Four responses to a prompt and four levels, as AlpacaFarm's Quark has four reward tokens."""

    n: int = option(4, at_least=1)
    """Responses drawn for each prompt."""
    levels: int = option(4, at_least=2)
    """Quality tokens; each stands for an equal share of the responses."""

    def problems(self) -> list[str]:
        """Problems of the shared options, and LoRA, which would leave control tokens untrained."""
        return super().problems() + control_problems(self)


def conditioned(scored: Scored, levels: int) -> list[Demonstration]:
    """All P · n responses, each with the control token of its score's quantile among them all."""
    names = control_tokens(levels)
    return [
        Demonstration(prompt, texts[i], names[int(of_prompt[i])], bool(ended[i]))
        for prompt, texts, ended, of_prompt in zip(
            scored.prompts, scored.texts, scored.ended, quantile_levels(scored.scores, levels), strict=True
        )
        for i in range(len(texts))
    ]


def demonstrations(
    prompts: Sequence[Prompt], config: RewardConditioningConfig, models: Models
) -> list[Demonstration]:
    """The reference's responses to these prompts, each with the control token of its quantile.

    Raises DataError on a score that is not finite.
    """
    scored = draw_scored(models.reference(), models.reward(), prompts, config=config, seed=config.seed)
    return conditioned(scored, config.levels)


RewardConditioning = ImitationTrainer(
    RewardConditioningConfig,
    "instructions",
    demonstrations,
    lambda config: control_tokens(config.levels),
    needs=("reference", "reward"),
)
"""Supervised fine-tuning on the reference's responses under tokens for the quantile of their score."""
