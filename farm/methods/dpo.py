"""Direct preference optimisation.  Rafailov et al. 2023, arXiv 2305.18290.

    L(θ) = −E log σ( β log π_θ(y_w|x)/π_ref(y_w|x) − β log π_θ(y_l|x)/π_ref(y_l|x) )        (eq. 7)

paper   code               differs from the paper
β       config.beta
y_w     batch.chosen       label_smoothing > 0 gives conservative DPO (Mitchell 2023, eq. 3)
y_l     batch.rejected     a preference p < 1 weighs both directions, p L(w, l) + (1 − p) L(l, w); a tie is ½
π_ref   self.reference     its log-probabilities are computed once for each row and kept
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from torch import Tensor

from farm.config import TrainConfig, option
from farm.models.ops import masked_sum, preference_loss
from farm.models.policy import Policy
from farm.training.data import Data, PreferencePair, pairs
from farm.training.method import DataKind, Loss, Models, PairBatch, SequenceLogps, Stats


class DPOConfig(TrainConfig):
    """AlpacaFarm's: 2 epochs of batches of 64 at 1e-6, β 0.1."""

    epochs: float = 2.0
    batch_size: int = 64
    """Pairs per optimizer step, over all processes."""
    learning_rate: float = 1e-6
    beta: float = option(0.1, above=0)
    """How strongly the policy is held to the reference: the temperature of the implicit reward."""
    label_smoothing: float = option(0.0, at_least=0, below=0.5)
    """Assumed share of labels that are the wrong way round."""


class PairLogps(NamedTuple):
    """log π(y|x) of both responses, summed over their tokens, the end of sequence included: (B,) each."""

    chosen: Tensor
    rejected: Tensor


class ReferencedPairs(NamedTuple):
    """Pairs with their log-probabilities under the reference."""

    pairs: PairBatch
    reference: PairLogps

    @property
    def weight(self) -> Tensor:
        return self.pairs.weight


def dpo_loss(
    policy: PairLogps, reference: PairLogps, preference: Tensor | float, beta: float, smoothing: float = 0.0
) -> Tensor:
    """Loss of each pair: (B,)."""
    chosen = beta * (policy.chosen - reference.chosen)  # implicit reward of y_w
    rejected = beta * (policy.rejected - reference.rejected)  # implicit reward of y_l
    smoothed = preference * (1 - smoothing) + (1 - preference) * smoothing
    return preference_loss(chosen - rejected, smoothed)


def pair_logps(policy: Policy, batch: PairBatch) -> PairLogps:
    tokens = batch.both
    return PairLogps(*masked_sum(policy(tokens), tokens.mask).chunk(2))


def with_reference(batch: PairBatch, reference: SequenceLogps) -> ReferencedPairs:
    return ReferencedPairs(batch, PairLogps(*reference(batch.both).chunk(2)))


def pair_stats(policy: PairLogps, reference: PairLogps, beta: float) -> Stats:
    """Implicit rewards, and how often the chosen response has the higher one."""
    policy = PairLogps(policy.chosen.detach(), policy.rejected.detach())
    chosen, rejected = (
        beta * (policy.chosen - reference.chosen),
        beta * (policy.rejected - reference.rejected),
    )
    return {
        "rewards/chosen": chosen.mean(),
        "rewards/rejected": rejected.mean(),
        "rewards/margins": (chosen - rejected).mean(),
        "rewards/accuracies": (chosen > rejected).double().mean(),
        "logps/chosen": policy.chosen.mean(),
        "logps/rejected": policy.rejected.mean(),
    }


class DPO:
    """Direct preference optimisation (Rafailov et al. 2023)."""

    Config: ClassVar[type[DPOConfig]] = DPOConfig
    data_kind: ClassVar[DataKind] = "pairs"
    rollout_steps = 1

    def __init__(self, config: DPOConfig, data: Data[PreferencePair], models: Models) -> None:
        self.config = config
        self.policy = self.trained = self.product = models.policy()
        self.reference = models.reference_logps()
        self.source = pairs(data, self.policy.codec, config, self.policy.device)
        self.steps = self.source.steps

    def batches(self, start: int) -> Iterator[list[ReferencedPairs]]:
        for step in self.source.batches(start):
            yield [with_reference(batch, self.reference) for batch in step]

    def held_out(self) -> Iterator[ReferencedPairs]:
        for batch in self.source.held_out():
            yield with_reference(batch, self.reference)

    def loss(self, batch: ReferencedPairs) -> Loss:
        policy = pair_logps(self.policy, batch.pairs)
        preference, config = batch.pairs.preference, self.config
        losses = dpo_loss(policy, batch.reference, preference, config.beta, config.label_smoothing)
        return Loss(losses.mean(), pair_stats(policy, batch.reference, config.beta))
