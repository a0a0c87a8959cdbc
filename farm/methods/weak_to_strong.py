"""Weak-to-strong: a reward model that may trust itself more than weak labels.  Burns et al. 2023, 2312.09390.

    L(φ) = CE( (1 − α_t) p + α_t 1[q > ½], q ),   q = σ( r_φ(x, y_w) − r_φ(x, y_l) )
    α_t  = α min(1, t / (warm_up · T))

paper   code                differs from the paper
p       batch.preference    soft labels of the weak model: the preferences of the snapshot
1[...]  own_verdict         the authors' threshold is the quantile of q that gives each class the share that
                            it has among the weak labels. Either output of a pair may be called the first, so
                            the share is ½, and the threshold is ½ in every batch
α_t     TrustFeed.alpha     the authors' code jumps: until the warm-up ends it has t / T in place of
                            t / (warm_up · T)

No gradient flows into the target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor

from farm.config import TrainConfig, option
from farm.models.ops import preference_loss
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair
from farm.training.feed import pairs
from farm.training.method import DataKind, Feed, Loss, Method, Models, Need
from farm.training.score_method import PairScores, pair_scores, predicted_by, reliability, reward_stats


class WeakToStrongConfig(TrainConfig):
    """The authors' α and warm-up, 2 epochs of batches of 32; the learning rate is the reward model's."""

    epochs: float = 2.0
    batch_size: int = 32
    """Pairs per optimizer step, over all processes."""
    learning_rate: float = 3e-6
    alpha: float = option(0.5, at_least=0, at_most=1)
    """Weight of the model's own hard verdict in its target, from the end of the warm-up on."""
    warm_up: float = option(0.1, at_least=0, at_most=1)
    """Share of the steps over which alpha rises from 0."""


class TrustedPairs(NamedTuple):
    """Pairs, and how much the model trusts itself in this step."""

    pairs: PairBatch
    alpha: float

    @property
    def weight(self) -> Tensor:
        """Number of pairs."""
        return self.pairs.weight


def confidence_target(margin: Tensor, preference: Tensor, alpha: float) -> Tensor:
    """(1 − α) p + α 1[margin > 0], where a margin of 0 counts as ½: (B,), without gradient."""
    own_verdict = 0.5 + 0.5 * margin.detach().sign()
    return (1 - alpha) * preference + alpha * own_verdict


def weak_to_strong_loss(scores: PairScores, preference: Tensor, alpha: float) -> Tensor:
    """Loss of each pair: (B,). preference: the weak model's P(chosen preferred)."""
    return preference_loss(scores.margin, confidence_target(scores.margin, preference, alpha))


class TrustFeed:
    """The feed of pairs, each step with its α. Held-out pairs are measured on their labels alone."""

    rollout_steps = 1

    def __init__(self, feed: Feed[PairBatch], config: WeakToStrongConfig) -> None:
        self.source, self.config, self.steps = feed, config, feed.steps

    def alpha(self, step: int) -> float:
        """α at the k-th step, k from 0."""
        rising = self.config.warm_up * self.steps
        return self.config.alpha * (min(1.0, step / rising) if rising else 1.0)

    def batches(self, start: int) -> Iterator[Sequence[TrustedPairs]]:
        """The batches of each step, from step `start` on."""
        for step, batches in enumerate(self.source.batches(start), start):
            yield [TrustedPairs(batch, self.alpha(step)) for batch in batches]

    def held_out(self) -> Iterator[TrustedPairs]:
        """The held-out batches."""
        return (TrustedPairs(batch, 0.0) for batch in self.source.held_out())


class WeakToStrong(Method[TrustedPairs]):
    """A reward model of weak labels, with the confidence loss (Burns et al. 2023)."""

    Config: ClassVar[type[WeakToStrongConfig]] = WeakToStrongConfig
    data_kind: ClassVar[DataKind] = "pairs"
    needs: ClassVar[tuple[Need, ...]] = ()

    def __init__(self, config: WeakToStrongConfig, data: Data[PreferencePair], models: Models) -> None:
        self.scorer = self.trained = self.product = models.scorer()
        self.feed = TrustFeed(pairs(data, self.scorer.codec, config, self.scorer.device), config)

    def loss(self, batch: TrustedPairs) -> Loss:
        """Mean loss over the B pairs of a batch."""
        scores, preference = pair_scores(self.scorer, batch.pairs), batch.pairs.preference
        losses = weak_to_strong_loss(scores, preference, batch.alpha)
        return Loss(losses.mean(), reward_stats(scores, preference))

    def summary(self) -> dict[str, float]:
        """Accuracy, ECE and the reliability curve on the held-out pairs; empty without any."""
        return reliability(
            self.trained, self.feed.held_out(), lambda batch: predicted_by(self.scorer, batch.pairs)
        )
