"""Methods made of one function: a loss on the scores of both responses of pairs. It makes a reward model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from farm.config import TrainConfig
from farm.models.ops import in_order
from farm.models.scorer import Scorer
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair
from farm.training.feed import pairs
from farm.training.method import DataKind, Loss, Method, Models, Need, Stats

C = TypeVar("C", bound=TrainConfig)
C_contra = TypeVar("C_contra", bound=TrainConfig, contravariant=True)
T = TypeVar("T")

BINS = 10  # of the reliability curve


class PairScores(NamedTuple):
    """Scores of both responses: (B,) each."""

    chosen: Tensor
    rejected: Tensor

    @property
    def margin(self) -> Tensor:
        """Score of the chosen response less that of the rejected one: (B,)."""
        return self.chosen - self.rejected


class Predicted(NamedTuple):
    """Log-odds that the first response of each pair is preferred, and P(first preferred): (B,) each."""

    margins: Tensor
    preference: Tensor


class CalibrationCurve(NamedTuple):
    """How well predicted preferences agree with given ones, over n held-out pairs.

    Both orders of a pair count, so the curve is symmetric. Bins have equal width over [0, 1]; empty ones are
    NaN.
    """

    n: int
    accuracy: float  # share of pairs in the right order (`ops.in_order`)
    ece: float  # expected calibration error: mean |predicted − observed| over bins, weighted by their pairs
    predicted: Tensor  # (BINS,) mean predicted preference
    observed: Tensor  # (BINS,) mean given preference
    counts: Tensor  # (BINS,)


def calibration(margins: Tensor, preference: Tensor) -> CalibrationCurve:
    """Calibration of score differences as predictions. Guo et al. 2017, arXiv 1706.04599.

    margins: (n,) score of chosen minus score of rejected. preference: (n,) P(chosen preferred) in [0, 1].
    """
    margins, preference = margins.double(), preference.double()
    predicted = torch.cat([margins.sigmoid(), (-margins).sigmoid()])
    observed = torch.cat([preference, 1 - preference])
    place = (predicted * BINS).long().clamp(max=BINS - 1)
    counts = torch.bincount(place, minlength=BINS)
    mean_predicted = torch.bincount(place, predicted, BINS) / counts
    mean_observed = torch.bincount(place, observed, BINS) / counts
    gaps = (mean_predicted - mean_observed).abs().nan_to_num(0.0)
    ece = float((gaps * counts).sum() / counts.sum().clamp(min=1))
    return CalibrationCurve(
        n=len(margins),
        accuracy=float(in_order(margins, preference).mean()),
        ece=ece,
        predicted=mean_predicted,
        observed=mean_observed,
        counts=counts,
    )


@torch.no_grad()
def reliability(
    trained: nn.Module, batches: Iterable[T], predict: Callable[[T], Predicted]
) -> dict[str, float]:
    """Accuracy, ECE and the reliability curve of held-out batches, as metrics; empty without any."""
    trained.eval()
    said = [predict(batch) for batch in batches]
    if not said:
        return {}
    margins, preference = (torch.cat(list(part)).cpu() for part in zip(*said, strict=True))
    found = calibration(margins, preference)
    curve = zip(found.predicted.tolist(), found.observed.tolist(), found.counts.tolist(), strict=True)
    points = {
        f"calibration/{place:02d}/{name}": value
        for place, point in enumerate(curve)
        if point[2]
        for name, value in zip(("predicted", "observed", "n"), point, strict=True)
    }
    return {"held_out/accuracy": found.accuracy, "held_out/ece": found.ece, **points}


def pair_scores(scorer: Scorer, batch: PairBatch) -> PairScores:
    """Scores of both responses of each pair, in one pass: (B,) each."""
    return PairScores(*scorer(batch.both).chunk(2))


def reward_stats(scores: PairScores, preference: Tensor) -> Stats:
    """Mean scores, their mean difference, and the share of pairs in the right order (`ops.in_order`)."""
    chosen, rejected = scores.chosen.detach(), scores.rejected.detach()
    margins = chosen - rejected
    return {
        "rewards/chosen": chosen.mean(),
        "rewards/rejected": rejected.mean(),
        "rewards/margins": margins.mean(),
        "rewards/accuracies": in_order(margins, preference).mean(),
    }


def predicted_by(scorer: Scorer, batch: PairBatch) -> Predicted:
    """What a scorer predicts for pairs."""
    return Predicted(pair_scores(scorer, batch).margin, batch.preference)


class ScoreLoss(Protocol[C_contra]):
    """Loss of each pair: (B,). scores: of both responses."""

    def __call__(self, scores: PairScores, batch: PairBatch, config: C_contra, /) -> Tensor: ...


@dataclass(frozen=True)
class ScoreTrainer(Generic[C]):
    """Trainer of a method made of a loss on scores: `RewardModel = ScoreTrainer(RewardModelConfig, loss)`."""

    Config: type[C]
    loss: ScoreLoss[C]
    needs: tuple[Need, ...] = ()
    data_kind: DataKind = "pairs"

    def __call__(self, config: C, data: Data[PreferencePair], models: Models) -> ScoreMethod[C]:
        return ScoreMethod(config, self, data, models)


class ScoreMethod(Method[PairBatch], Generic[C]):
    """The method in a run: a scalar head on the model, read at the end of each response."""

    def __init__(
        self, config: C, trainer: ScoreTrainer[C], data: Data[PreferencePair], models: Models
    ) -> None:
        self.config, self._trainer = config, trainer
        self.scorer = self.trained = self.product = models.scorer()
        self.feed = pairs(data, self.scorer.codec, config, self.scorer.device)

    def loss(self, batch: PairBatch) -> Loss:
        """Mean loss over the B pairs of a batch."""
        scores = pair_scores(self.scorer, batch)
        losses = self._trainer.loss(scores, batch, self.config)
        return Loss(losses.mean(), reward_stats(scores, batch.preference))

    def summary(self) -> dict[str, float]:
        """Accuracy, ECE and the reliability curve on the held-out pairs; empty without any."""
        return reliability(self.trained, self.feed.held_out(), partial(predicted_by, self.scorer))
