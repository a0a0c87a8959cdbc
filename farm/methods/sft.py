"""Supervised fine-tuning, with the loss on responses only.  Ouyang et al. 2022, arXiv 2203.02155.

    L(θ) = −E_(x,y) Σ_t log π_θ(y_t | x, y_<t)  /  number of response tokens

paper   code            differs from the paper
x, y    tokens          the end of sequence is part of y; prompt and padding carry no loss
E       loop            every token of a step counts the same, however rows are spread over batches
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from torch import Tensor

from farm.config import TrainConfig
from farm.models.ops import masked_mean
from farm.models.tokens import Tokens
from farm.training.data import Data, Demonstration, demonstrations
from farm.training.method import DataKind, Loss, Models, Stats


class SFTConfig(TrainConfig):
    """AlpacaFarm's: 3 epochs of batches of 128 at 2e-5."""

    epochs: float = 3.0
    batch_size: int = 128
    """Demonstrations per optimizer step, over all processes."""
    learning_rate: float = 2e-5


def sft_loss(logps: Tensor, mask: Tensor) -> Tensor:
    """Mean negative log-likelihood of the masked tokens: (B, T) -> scalar."""
    return -masked_mean(logps, mask)


def sft_stats(logps: Tensor, mask: Tensor) -> Stats:
    return {
        "logps/response": -sft_loss(logps, mask),
        "tokens/response_length": mask.sum(-1).double().mean(),
    }


class SFT:
    """Supervised fine-tuning."""

    Config: ClassVar[type[SFTConfig]] = SFTConfig
    data_kind: ClassVar[DataKind] = "demonstrations"
    rollout_steps = 1

    def __init__(
        self, config: SFTConfig, data: Data[Demonstration], models: Models, control: Sequence[str] = ()
    ) -> None:
        """control: tokens that demonstrations are marked with, the one to ask for last."""
        self.policy = self.trained = self.product = models.policy()
        if control:
            self.policy.condition_on(control)
        self.source = demonstrations(data, self.policy.codec, config, self.policy.device)
        self.steps = self.source.steps

    def batches(self, start: int) -> Iterator[list[Tokens]]:
        return self.source.batches(start)

    def held_out(self) -> Iterator[Tokens]:
        return self.source.held_out()

    def loss(self, batch: Tokens) -> Loss:
        logps = self.policy(batch)
        return Loss(sft_loss(logps, batch.mask), sft_stats(logps.detach(), batch.mask))
