"""Supervised fine-tuning, with the loss on responses only.  Ouyang et al. 2022, arXiv 2203.02155.

    L(θ) = −E_(x,y) Σ_t log π_θ(y_t | x, y_<t)  /  number of response tokens

paper   code            differs from the paper
x, y    tokens          the end of sequence is part of y; prompt and padding carry no loss
E       loop            every token of a step counts the same, however rows are spread over batches
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, TypeVar

from torch import Tensor

from farm.config import TrainConfig
from farm.models.ops import masked_mean
from farm.models.tokens import Tokens
from farm.training.data import Data, DataError, Demonstration
from farm.training.feed import demonstrations
from farm.training.method import DataKind, Loss, Method, Models, Need

R = TypeVar("R")
C = TypeVar("C", bound="SFTConfig")


class SFTConfig(TrainConfig):
    """AlpacaFarm's: 3 epochs of batches of 128 at 2e-5."""

    epochs: float = 3.0
    batch_size: int = 128
    """Demonstrations per optimizer step, over all processes."""
    learning_rate: float = 2e-5
    disable_dropout: bool = False
    """Turn off the dropout that the model brings; lora_dropout stays."""


def sft_loss(logps: Tensor, mask: Tensor) -> Tensor:
    """Mean negative log-likelihood of the masked tokens, in nats: (B, T) -> scalar."""
    return -masked_mean(logps, mask)


class SFT(Method[Tokens]):
    """Supervised fine-tuning."""

    Config: ClassVar[type[SFTConfig]] = SFTConfig
    data_kind: ClassVar[DataKind] = "demonstrations"
    needs: ClassVar[tuple[Need, ...]] = ()

    def __init__(
        self, config: SFTConfig, data: Data[Demonstration], models: Models, control: Sequence[str] = ()
    ) -> None:
        """control: tokens that demonstrations are marked with, the one to ask for last."""
        self.policy = self.trained = self.product = models.policy()
        if control:
            if data.train and not any(each.control == control[-1] for each in data.train):
                what = "no output is under the token that is asked for: none was judged well enough"
                raise DataError(what, remedy="lower the threshold, or give outputs that were judged better")
            self.policy.condition_on(control, data.first.prompt)
        self.feed = demonstrations(data, self.policy.codec, config, self.policy.device)

    def loss(self, batch: Tokens) -> Loss:
        """Mean loss over the response tokens of a batch."""
        logps = self.policy(batch)
        loss = sft_loss(logps, batch.mask)
        return Loss(loss, {"logps/response": -loss.detach()})


@dataclass(frozen=True)
class ImitationTrainer(Generic[C, R]):
    """Trainer of a method that makes demonstrations of other records and imitates them.

    make: called with records, options and models, gives the demonstrations. Those that come beside the
    records are imitated too. controls: called with the options, gives the control tokens that the
    demonstrations are marked with, the one to ask for last.
    """

    Config: type[C]
    data_kind: DataKind
    make: Callable[[Sequence[R], C, Models], Sequence[Demonstration]]
    controls: Callable[[C], Sequence[str]] = lambda _: ()
    needs: tuple[Need, ...] = ()

    def __call__(self, config: C, data: Data[R], models: Models) -> SFT:
        made = data.made(lambda records: self.make(records, config, models))
        whole = replace(made, train=[*made.train, *data.demonstrations])
        return SFT(config, whole, models, self.controls(config))
