"""FeedME: imitate the responses that were rated highest.  OpenAI 2022, "Model index for researchers".

    D = { (x, y_i) : y_i ~ π_ref(· | x),  r(x, y_i) ≥ q }
    L(θ) = −E_((x,y) ∈ D) Σ_t log π_θ(y_t | x, y_<t)  /  number of response tokens

source  code                 differs from the source
r       models.reward()      a reward model in place of people who gave 7 of 7
q       config.top           the score that this share of all responses reaches
D       top_demonstrations   with the demonstrations of --demonstrations, if a set is named: the source
                             fine-tunes on both
"""

from __future__ import annotations

from collections.abc import Sequence

from farm.config import option
from farm.methods.best_of_n import BestOfNConfig, Scored, draw_scored
from farm.methods.sft import ImitationTrainer, SFTConfig
from farm.models.tokens import Prompt
from farm.training.data import Demonstration
from farm.training.method import Models


class FeedMEConfig(SFTConfig, BestOfNConfig):
    """n 4: the share of responses that is imitated is then about one for each prompt."""

    n: int = option(4, at_least=1)
    """Responses drawn for each prompt."""
    top: float = option(0.25, above=0, at_most=1)
    """Share of all responses, those with the highest scores, that is imitated."""


def top_demonstrations(scored: Scored, top: float) -> list[Demonstration]:
    """The responses whose scores are the highest. top: share of all P · n responses, in (0, 1].

    At least one is kept. A response whose score equals the lowest one kept is kept too.
    """
    kept = max(1, round(top * scored.scores.numel()))
    threshold = scored.scores.flatten().topk(kept).values[-1]
    return [
        Demonstration(prompt, texts[i], ended=bool(ended[i]))
        for prompt, texts, ended, scores in zip(
            scored.prompts, scored.texts, scored.ended, scored.scores, strict=True
        )
        for i in range(len(texts))
        if scores[i] >= threshold
    ]


def demonstrations(prompts: Sequence[Prompt], config: FeedMEConfig, models: Models) -> list[Demonstration]:
    """The share `config.top` of the reference's responses with the highest scores.

    Raises DataError on a score that is not finite.
    """
    scored = draw_scored(models.reference(), models.reward(), prompts, config=config, seed=config.seed)
    return top_demonstrations(scored, config.top)


FeedME = ImitationTrainer(
    FeedMEConfig, "instructions", demonstrations, needs=("reference", "reward", "demonstrations")
)
"""Supervised fine-tuning on the reference's responses of the highest scores."""
