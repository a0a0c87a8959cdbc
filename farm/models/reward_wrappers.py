"""Rewards made of rewards: several with weights, and one with noise that a keyed hash decides.

Lv et al. 2025, arXiv 2505.22653, flip rewards for all responses of a group together; Wu et al. 2025, arXiv
2507.10532, compare right, random and inverted rewards. What is said of a response depends on the seed and
the texts alone, so a resumed run hears the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from db.ids import Json, keyed_uniform
from farm.models.ensemble import ScoreTexts
from farm.models.tokens import Prompt

Noise: TypeAlias = Literal["flip", "random", "invert"]
NoiseUnit: TypeAlias = Literal["group", "response", "prompt"]


class WeightedRewards:
    """Several rewards as one, their weighted sum: texts in, scores (B,) out."""

    def __init__(self, rewards: Sequence[ScoreTexts], weights: Sequence[float]) -> None:
        self.rewards, self.weights = rewards, weights

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        return self.each(prompts, responses) @ torch.tensor(self.weights)

    def each(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        """The score of each reward, without its weight: (B, K)."""
        return torch.stack([reward(prompts, responses).float().cpu() for reward in self.rewards], -1)


class NoiseRule(NamedTuple):
    """How a reward is made worse.

    how: flip, what is above the centre comes below it by as much; random, another number in its place, either
    0 or twice the centre; invert, flip without exception. share: of the units that are hit. per: the unit,
    which is all responses to a prompt that are scored together, a response, or a prompt for the whole run.
    """

    how: Noise
    share: float = 1.0
    per: NoiseUnit = "group"
    centre: float = 0.5
    seed: int = 0


class NoisyReward:
    """A reward with noise: texts in, scores (B,) out. The responses to a prompt must stand together."""

    def __init__(self, reward: ScoreTexts, rule: NoiseRule) -> None:
        self.reward, self.rule = reward, rule

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        rule, scores = self.rule, self.reward(prompts, responses)
        hit = torch.tensor(list(self._hit(prompts, responses)), device=scores.device)
        other = 2 * rule.centre - scores
        if rule.how == "random":
            named = zip(prompts, responses, strict=True)
            drawn = [keyed_uniform("random reward", rule.seed, *_key(p), text) < 0.5 for p, text in named]
            other = 2 * rule.centre * torch.tensor(drawn).to(scores)
        return torch.where(hit, other, scores)

    def _hit(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Iterator[bool]:
        """Whether each response is hit."""
        rule, place = self.rule, 0
        share = 1.0 if rule.how == "invert" else rule.share
        for prompt, rows in groupby(prompts):
            texts = list(responses[place : (place := place + len(list(rows)))])
            for text in texts:
                about = {"group": texts, "response": [text], "prompt": []}[rule.per]
                yield keyed_uniform("reward noise", rule.seed, *_key(prompt), *about) < share


def _key(prompt: Prompt) -> list[Json]:
    return [prompt.instruction, prompt.input, [list(turn) for turn in prompt.turns]]
