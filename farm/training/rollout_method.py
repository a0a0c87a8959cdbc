"""Methods made of two functions: advantages from a rollout, and a loss on the policy's log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor

from farm.models.tokens import Prompt
from farm.training.batches import Rollout
from farm.training.data import Data
from farm.training.method import DataKind, Loss, Method, Models, Need
from farm.training.on_policy import Lessons, Rollouts
from farm.training.processes import Processes
from farm.training.rollout import RolloutConfig

C = TypeVar("C", bound=RolloutConfig)
C_contra = TypeVar("C_contra", bound=RolloutConfig, contravariant=True)
L = TypeVar("L", bound=Lessons)
L_co = TypeVar("L_co", bound=Lessons, covariant=True)
L_contra = TypeVar("L_contra", bound=Lessons, contravariant=True)


class Worth(Protocol[C_contra, L_co]):
    """Computes advantages from a whole rollout. A function of its arguments alone.

    Rows of one prompt stand together, config.n at a time. processes: for means over the rows of all.
    """

    def __call__(self, rollout: Rollout, config: C_contra, processes: Processes, /) -> L_co: ...


class RolloutLoss(Protocol[C_contra, L_contra]):
    """Loss of a batch. logps: (B, T) under the policy, at the temperature of the draw, 0 off the mask."""

    def __call__(self, logps: Tensor, batch: L_contra, config: C_contra, /) -> Loss: ...


@dataclass(frozen=True)
class RolloutTrainer(Generic[C, L]):
    """Trainer of a method made of a worth and a loss: `GRPO = RolloutTrainer(GRPOConfig, worth, loss)`.

    at_server: the loss is linear in advantages of one sign, so a server can draw the responses: see
    `farm.training.importance`.
    """

    Config: type[C]
    worth: Worth[C, L]
    loss: RolloutLoss[C, L]
    feed: type[Rollouts[Any]] = Rollouts
    data_kind: DataKind = "instructions"
    needs: tuple[Need, ...] = ("reference", "reward")
    at_server: bool = True

    def __call__(self, config: C, data: Data[Prompt], models: Models) -> RolloutMethod[C, L]:
        return RolloutMethod(config, self, data, models)


def draws_at_server(trainer: object) -> bool:
    """Whether a server can draw for a method: it learns from a feed of rollouts, by advantages.

    A trainer that is a class names its feed as `rollouts`.
    """
    if isinstance(trainer, RolloutTrainer):
        return trainer.at_server
    return issubclass(getattr(trainer, "rollouts", object), Rollouts)


class RolloutMethod(Method[L], Generic[C, L]):
    """The method in a run: it draws responses, scores them, and learns from their advantages."""

    def __init__(self, config: C, trainer: RolloutTrainer[C, L], data: Data[Prompt], models: Models) -> None:
        self.config, self._trainer = config, trainer
        self.policy = self.trained = self.product = models.policy()
        self.feed: Rollouts[L] = trainer.feed(
            config,
            data,
            models,
            policy=self.policy,
            learn=lambda plan: self.worth(self.feed.drawn(plan)),
            referenced="reference" in trainer.needs,
        )

    def worth(self, rollout: Rollout) -> L:
        """The advantages of a rollout's responses or tokens, corrected where a server drew them."""
        return self.feed.corrected(self._trainer.worth(rollout, self.config, self.feed.processes))

    def loss(self, batch: L) -> Loss:
        """The mean loss over a batch's weight."""
        return self._trainer.loss(self.policy(batch.tokens, self.config.temperature), batch, self.config)
