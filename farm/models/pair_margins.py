"""Models that compare two outputs: the log-odds that the first is preferred. They can hold cycles.

pair_margins   reads both outputs in one row, in both orders (farm/methods/pair_model.py)
skew           of a vector for each output (farm/methods/general_preference.py)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from farm.models.codec import Codec, Row
from farm.models.ensemble import ScoreTexts
from farm.models.scorer import Scorer, rate_rows
from farm.models.tokens import Prompt


class Margins(Protocol):
    """Log-odds that the first of two responses to each prompt is preferred: (B,)."""

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor: ...


def pair_row(codec: Codec, prompt: Prompt, first: str, second: str) -> Row:
    """A prompt and two responses in this order, each with its end."""
    return Row(codec.prompt_ids(prompt), [*codec.response_ids(first), *codec.response_ids(second)])


def skew(first: Tensor, second: Tensor) -> Tensor:
    """⟨R v, w⟩ of vectors (B, 2k), where R turns each pair of numbers (v_1, v_2) into (−v_2, v_1): (B,).

    Turned around it changes its sign. Zhang et al. 2024, arXiv 2410.02197.
    """
    blocks, others = first.view(len(first), -1, 2), second.view(len(second), -1, 2)
    turned: Tensor = blocks[..., 0] * others[..., 1] - blocks[..., 1] * others[..., 0]
    return turned.sum(-1)


class PairMargins:
    """Half the difference of a scorer's log-odds in both orders."""

    def __init__(self, scorer: Scorer, batch_rows: int = 64) -> None:
        self.scorer, self.batch_rows = scorer, batch_rows

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
        codec = self.scorer.codec
        asked = list(zip(prompts, first, second, strict=True))
        rows = [pair_row(codec, prompt, a, b) for prompt, a, b in asked]
        rows += [pair_row(codec, prompt, b, a) for prompt, a, b in asked]
        ahead, behind = rate_rows(rows, self.scorer, self.scorer, self.batch_rows).chunk(2)
        return (ahead - behind) / 2


class VectorMargins:
    """The skew product of a scorer's vectors, divided by a temperature."""

    def __init__(self, scorer: Scorer, temperature: float, batch_rows: int = 64) -> None:
        self.scorer, self.temperature, self.batch_rows = scorer, temperature, batch_rows

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
        codec = self.scorer.codec
        asked = list(zip([*prompts, *prompts], [*first, *second], strict=True))
        rows = [codec.row(prompt, text) for prompt, text in asked]
        vectors = rate_rows(rows, self.scorer, self.scorer.outputs, self.batch_rows)
        return skew(*vectors.chunk(2)) / self.temperature


class ScoreMargins:
    """The difference of two scores (Bradley and Terry 1952)."""

    def __init__(self, score: ScoreTexts) -> None:
        self.score = score

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
        ahead, behind = self.score([*prompts, *prompts], [*first, *second]).chunk(2)
        return torch.where(ahead.isinf() | behind.isinf(), torch.inf, ahead - behind)
