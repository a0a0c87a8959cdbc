"""f-SFT: supervised fine-tuning that stays near the reference.

Wang et al. 2025, arXiv 2507.00018, our reading.

    L(θ) = −E_(x,y) φ(β r) / β,   r = log π_θ(y|x)/π_ref(y|x)

paper   code               differs from the paper
φ       phi                of Pearson's χ², Hellinger's or Jensen and Shannon's divergence. We derived these:
                           φ(x) = x, of total variation, is sft by response. Below x = −½, where the last two
                           have a pole, φ goes on along its tangent
β       config.beta        1/β keeps the step as large as that of sft where π_θ = π_ref
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from farm.config import option
from farm.methods.sft import SFTConfig
from farm.models.ops import masked_sum
from farm.models.tokens import Tokens
from farm.training.data import Data, Demonstration
from farm.training.feed import PreparedFeed, demonstrations
from farm.training.method import DataKind, Loss, Method, Models, Need

Divergence: TypeAlias = Literal["total_variation", "pearson", "hellinger", "js"]
TANGENT = -0.5  # below it φ is a line


class FSFTConfig(SFTConfig):
    """As supervised fine-tuning."""

    divergence: Divergence = "pearson"
    """Divergence between demonstrations and policy: pearson, hellinger, js or total_variation."""
    beta: float = option(0.05, above=0)
    """Factor on log-ratios. Pearson's pull on a response ends 2/β nats above the reference."""


class ReferencedRows(NamedTuple):
    """Demonstrations with their log-probabilities under the reference."""

    tokens: Tokens
    reference: Tensor  # (B,)

    @property
    def weight(self) -> Tensor:
        """Number of demonstrations."""
        return torch.tensor(len(self.reference))


PHI: Mapping[Divergence, Callable[[Tensor], Tensor]] = {
    "total_variation": lambda x: x,
    "pearson": lambda x: x - x.square() / 4,
    "hellinger": lambda x: x / (1 + x),
    "js": lambda x: torch.log(2 - torch.exp(-x)),
}
SLOPE: Mapping[Divergence, float] = {"hellinger": 4.0, "js": 1 / (2 * 2.718281828459045**TANGENT - 1)}
"""φ' at TANGENT of the divergences that have a pole below it."""


def phi(x: Tensor, divergence: Divergence) -> Tensor:
    """φ(x), any shape."""
    if divergence not in SLOPE:
        return PHI[divergence](x)
    below, start = x < TANGENT, x.new_tensor(TANGENT)
    tangent = PHI[divergence](start) + SLOPE[divergence] * (x - start)
    return torch.where(below, tangent, PHI[divergence](x.where(~below, start)))


def f_sft_loss(log_ratio: Tensor, config: FSFTConfig) -> Tensor:
    """Loss of each demonstration: (B,). Our reading of Wang et al. 2025."""
    return -phi(config.beta * log_ratio, config.divergence) / config.beta


class FSFT(Method[ReferencedRows]):
    """Supervised fine-tuning by an f-divergence (Wang et al. 2025, our reading)."""

    Config: ClassVar[type[FSFTConfig]] = FSFTConfig
    data_kind: ClassVar[DataKind] = "demonstrations"
    needs: ClassVar[tuple[Need, ...]] = ("reference",)

    def __init__(self, config: FSFTConfig, data: Data[Demonstration], models: Models) -> None:
        self.config = config
        self.policy = self.trained = self.product = models.policy()
        self.reference = models.reference_logps()
        made = demonstrations(data, self.policy.codec, config, self.policy.device)
        self.feed = PreparedFeed(made, self.with_reference)

    def with_reference(self, step: Sequence[Tokens]) -> list[ReferencedRows]:
        """The batches of a step with log-probabilities under the reference."""
        return [ReferencedRows(tokens, self.reference(tokens)) for tokens in step]

    def loss(self, batch: ReferencedRows) -> Loss:
        """The mean loss over the B demonstrations of a batch."""
        logps = masked_sum(self.policy(batch.tokens), batch.tokens.mask)
        log_ratio = logps - batch.reference
        stats = {"log_ratio/mean": log_ratio.detach().mean(), "logps/response": logps.detach().mean()}
        return Loss(f_sft_loss(log_ratio, self.config).mean(), stats)
