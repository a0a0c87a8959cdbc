"""Methods made of one function: a loss on outputs that were judged one by one, held to a frozen reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor

from farm.config import TrainConfig, option
from farm.models.codec import Codec
from farm.models.forward import autocast
from farm.models.ops import Total, masked_sum
from farm.models.policy import Policy
from farm.models.tokens import Tokens
from farm.training.batches import Batch
from farm.training.data import Data, JudgedOutput, check_two_sided
from farm.training.feed import PreparedFeed, judged
from farm.training.method import DataKind, Feed, Loss, Method, Models, Need, Product, Stats
from farm.training.pair_method import RatedResponses
from farm.training.processes import at_rest

C = TypeVar("C", bound=TrainConfig)
C_contra = TypeVar("C_contra", bound=TrainConfig, contravariant=True)

RateRows: TypeAlias = Callable[[Tokens], RatedResponses]
"""Rates rows under the policy as it is before a step and under the reference, without gradient."""


class JudgedConfig(TrainConfig):
    """As DPO's, in outputs: 2 epochs of batches of 128 at 1e-6, β 0.1."""

    epochs: float = 2.0
    batch_size: int = 128
    """Outputs per optimizer step, over all processes."""
    learning_rate: float = 1e-6
    beta: float = option(0.1, above=0)
    """Factor on log-ratios: the temperature of the implicit reward."""


class Judged(Batch, Protocol):
    """A batch of judged outputs."""

    @property
    def tokens(self) -> Tokens: ...

    @property
    def label(self) -> Tensor: ...


class ReferencedOutputs(NamedTuple):
    """Judged outputs with their log-probabilities under the reference, and the number of their step."""

    outputs: Judged
    reference: Tensor  # (B,)
    shift: Tensor | float

    @property
    def weight(self) -> Tensor:
        """Number of outputs."""
        return self.outputs.weight


class RatedOutputs(NamedTuple):
    """What a loss on judged outputs sees."""

    responses: RatedResponses
    label: Tensor | float  # P(good) in [0, 1]: (B,) or one number
    shift: Tensor | float  # a number of the whole step, without gradient; 0 where the method has none
    bad_weight: Tensor | float = 1.0  # weight of the loss as a bad output: (B,) or one number


class JudgedLoss(Protocol[C_contra]):
    """Loss of each output: (B,)."""

    def __call__(self, rated: RatedOutputs, config: C_contra, /) -> Tensor: ...


class Shift(Protocol[C_contra]):
    """A number of a whole step: a scalar without gradient.

    step: this process's batches of the step. total: sums numbers over the processes.
    """

    def __call__(self, step: Sequence[Any], rate: RateRows, config: C_contra, total: Total, /) -> Tensor: ...


class MakeFeed(Protocol[C_contra]):
    """Makes the feed of judged outputs."""

    def __call__(
        self, data: Data[JudgedOutput], codec: Codec, config: C_contra, device: torch.device, /
    ) -> Feed[Any]: ...


def by_label(good: Tensor, bad: Tensor, label: Tensor | float) -> Tensor:
    """Loss of outputs of which a share `label` of the votes says that they are good: (B,)."""
    return label * good + (1 - label) * bad


def itself(policy: Policy, config: TrainConfig, models: Models) -> Policy:
    """The product of most methods: the policy."""
    return policy


@dataclass(frozen=True)
class JudgedTrainer(Generic[C]):
    """Trainer of a method made of a loss on judged outputs: `KTO = JudgedTrainer(KTOConfig, kto_loss)`.

    shift: the number of a step that the loss takes; it costs a forward pass over what it rates. feed: makes
    the batches. product: makes of the policy what is saved. method: what runs it, by default JudgedMethod.
    """

    Config: type[C]
    loss: JudgedLoss[C]
    shift: Shift[C] | None = None
    feed: MakeFeed[C] = judged
    method: type[JudgedMethod[C]] | None = None
    product: Callable[[Policy, C, Models], Product] = itself
    needs: tuple[Need, ...] = ("reference",)
    data_kind: DataKind = "judged"

    def __call__(self, config: C, data: Data[JudgedOutput], models: Models) -> JudgedMethod[C]:
        return (self.method or JudgedMethod)(config, self, data, models)


class JudgedMethod(Method[ReferencedOutputs], Generic[C]):
    """The method in a run. The reference rates each output once, and its log-probabilities are kept."""

    def __init__(
        self, config: C, trainer: JudgedTrainer[C], data: Data[JudgedOutput], models: Models
    ) -> None:
        check_two_sided(data.train)
        self.config, self._trainer, self._total = config, trainer, data.processes.sum
        self.policy = self.trained = models.policy()
        self.product = trainer.product(self.policy, config, models)
        self.reference = models.reference_logps()
        made = trainer.feed(data, self.policy.codec, config, self.policy.device)
        self.feed = PreparedFeed(made, self.prepared, together=trainer.shift is not None)

    def prepared(self, step: Sequence[Judged]) -> list[ReferencedOutputs]:
        """The batches of a step with log-probabilities under the reference and the number of the step."""
        shift: Tensor | float = 0.0
        if self._trainer.shift is not None:
            with torch.no_grad(), at_rest(self.trained), autocast(self.config):
                shift = self._trainer.shift(step, self.rated, self.config, self._total)
        return [ReferencedOutputs(batch, self.reference(batch.tokens), shift) for batch in step]

    def rated(self, tokens: Tokens) -> RatedResponses:
        """Rows under the policy and the reference."""
        logps = masked_sum(self.policy(tokens), tokens.mask)
        return RatedResponses(logps, self.reference(tokens), tokens.mask.sum(-1))

    def bad_weight(self, tokens: Tokens) -> Tensor | float:
        """Weight of each row's loss as a bad output; 1 by default."""
        return 1.0

    def loss(self, batch: ReferencedOutputs) -> Loss:
        """The mean loss over the B outputs of a batch."""
        tokens = batch.outputs.tokens
        logps = masked_sum(self.policy(tokens), tokens.mask)
        responses = RatedResponses(logps, batch.reference, tokens.mask.sum(-1))
        rated = RatedOutputs(responses, batch.outputs.label, batch.shift, self.bad_weight(tokens))
        losses = self._trainer.loss(rated, self.config)
        return Loss(losses.mean(), output_stats(rated))


def output_stats(rated: RatedOutputs) -> Stats:
    """Mean log-ratio and log-probability in nats, the number of the step, and how well ratios tell labels.

    log_ratio/margin: covariance of log-ratio and label over the label's variance, which is the mean of good
    outputs minus that of bad ones; 0 where all labels are equal.
    """
    ratio, label = rated.responses.log_ratio.detach().double(), torch.as_tensor(rated.label).double()
    centred = label - label.mean()
    return {
        "log_ratio/mean": ratio.mean(),
        "log_ratio/margin": (centred * ratio).sum() / centred.square().sum().clamp(min=1e-12),
        "logps/response": rated.responses.logps.detach().mean(),
        "shift": torch.as_tensor(rated.shift, device=ratio.device).double(),
    }
