"""Control tokens: names of quality levels that stand between prompt and response."""

from __future__ import annotations

import torch
from torch import Tensor

from db.ids import keyed_uniform
from farm.config import TrainConfig


def control_tokens(levels: int) -> list[str]:
    """Names of the control tokens, from the worst level to the best."""
    return [f"<|quality_{level}|>" for level in range(levels)]


def control_problems(config: TrainConfig) -> list[str]:
    """Problems of a method with control tokens: LoRA would leave their embeddings untrained."""
    if not config.lora_rank:
        return []
    return ["lora_rank must be 0: the embeddings of control tokens have to be trained"]


def is_unmarked(share: float, number: int, seed: int) -> bool:
    """Whether a record, by its number, is among the share that is learnt without a token: drawn by seed."""
    return keyed_uniform("unmarked", [seed, number]) < share


def quantile_levels(scores: Tensor, levels: int, among: Tensor | None = None) -> Tensor:
    """Level of each score by its quantile, 0 the lowest, `levels - 1` the highest: any shape -> the same.

    Equal scores share the lowest of the levels that their ranks would have, but the best score always has the
    highest level, which is the one that a policy is asked for. among: the scores whose quantiles are taken;
    they include `scores`. None: `scores` alone.
    """
    ranked = (scores if among is None else among).double().flatten().sort().values
    below = torch.searchsorted(ranked, scores.double())  # how many scores are lower
    return torch.where(scores == ranked[-1], levels - 1, below * levels // len(ranked))
