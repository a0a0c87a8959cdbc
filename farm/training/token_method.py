"""Methods made of one function: a loss on the tokens of outputs with labels, without a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from torch import Tensor

from farm.config import TrainConfig
from farm.models.ops import masked_mean
from farm.models.tokens import Tokens
from farm.training.batches import JudgedBatch
from farm.training.data import Data, JudgedOutput
from farm.training.feed import PreparedFeed, judged
from farm.training.method import DataKind, Loss, Method, Models, Need

C = TypeVar("C", bound=TrainConfig)
C_contra = TypeVar("C_contra", bound=TrainConfig, contravariant=True)


class TokenConfig(TrainConfig):
    """As supervised fine-tuning's: 3 epochs of batches of 128 at 2e-5."""

    epochs: float = 3.0
    batch_size: int = 128
    """Outputs per optimizer step, over all processes."""
    learning_rate: float = 2e-5


class JudgedTokens(NamedTuple):
    """Judged outputs of which every token counts the same."""

    tokens: Tokens
    label: Tensor  # (B,) in [0, 1]: 1 is good, 0 is bad

    @property
    def weight(self) -> Tensor:
        """Number of response tokens."""
        return self.tokens.weight

    @property
    def token_label(self) -> Tensor:
        """The label of each token, which is its output's: (B, 1)."""
        return self.label[:, None]


class TokenLoss(Protocol[C_contra]):
    """Loss of each token: (B, T), anything off the mask. label: (B, 1)."""

    def __call__(self, logps: Tensor, label: Tensor, config: C_contra, /) -> Tensor: ...


def by_tokens(step: Sequence[JudgedBatch]) -> list[JudgedTokens]:
    """The batches of a step with tokens as units."""
    return [JudgedTokens(*batch) for batch in step]


@dataclass(frozen=True)
class TokenTrainer(Generic[C]):
    """Trainer of a method made of a loss on tokens: `RWR = TokenTrainer(RWRConfig, rwr_loss)`."""

    Config: type[C]
    loss: TokenLoss[C]
    needs: tuple[Need, ...] = ()
    data_kind: DataKind = "judged"

    def __call__(self, config: C, data: Data[JudgedOutput], models: Models) -> TokenMethod[C]:
        return TokenMethod(config, self, data, models)


class TokenMethod(Method[JudgedTokens], Generic[C]):
    """The method in a run."""

    def __init__(self, config: C, trainer: TokenTrainer[C], data: Data[JudgedOutput], models: Models) -> None:
        self.config, self._trainer = config, trainer
        self.policy = self.trained = self.product = models.policy()
        self.feed = PreparedFeed(judged(data, self.policy.codec, config, self.policy.device), by_tokens)

    def loss(self, batch: JudgedTokens) -> Loss:
        """The mean loss over the response tokens of a batch."""
        mask, logps = batch.tokens.mask, self.policy(batch.tokens)
        losses = self._trainer.loss(logps, batch.token_label, self.config)
        return Loss(masked_mean(losses, mask), {"logps/response": masked_mean(logps.detach(), mask)})
