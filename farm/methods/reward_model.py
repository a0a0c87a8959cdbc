"""A reward model from preferences.  Bradley and Terry 1952; Stiennon et al. 2020, arXiv 2009.01325.

    L(φ) = −E log σ( r_φ(x, y_w) − r_φ(x, y_l) )      (Ouyang et al. 2022, arXiv 2203.02155, eq. 1, K = 2)

paper   code               differs from the paper
r_φ     self.scorer        a scalar head at the last token of y, its end of sequence; AlpacaFarm reads the
                           last token of text. Scores are not shifted to mean 0 on references before RL
y_w     batch.chosen       a preference p < 1 weighs both directions; a tie is ½
        batch.margin       subtracted from the difference (Touvron et al. 2023, arXiv 2307.09288, eq. 2)
        config.centring    adds centring · (r_w + r_l)², which keeps scores around 0 (Eisenstein et al. 2023)
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from farm.config import TrainConfig, option
from farm.models.ops import in_order, preference_loss
from farm.models.scorer import Scorer
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair
from farm.training.feed import pairs
from farm.training.method import DataKind, Loss, Method, Models, Need, Stats

BINS = 10  # of the reliability curve


class RewardModelConfig(TrainConfig):
    """AlpacaFarm's: 1 epoch of batches of 16 at 3e-6."""

    batch_size: int = 16
    """Pairs per optimizer step, over all processes."""
    learning_rate: float = 3e-6
    centring: float = option(0.0, at_least=0)
    """Weight of the term that keeps the scores of a pair around 0."""


class PairScores(NamedTuple):
    """Scores of both responses: (B,) each."""

    chosen: Tensor
    rejected: Tensor


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


def reward_model_loss(
    scores: PairScores, preference: Tensor | float, margin: Tensor | float = 0.0, centring: float = 0.0
) -> Tensor:
    """Loss of each pair: (B,). Bradley and Terry 1952; Ouyang et al. 2022, eq. 1.

    preference: P(chosen preferred) in [0, 1]. margin: in units of the score. Both (B,) or one number.
    """
    losses = preference_loss(scores.chosen - scores.rejected - margin, preference)
    return losses + centring * (scores.chosen + scores.rejected).square()


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


class RewardModel(Method[PairBatch]):
    """A Bradley-Terry reward model."""

    Config: ClassVar[type[RewardModelConfig]] = RewardModelConfig
    data_kind: ClassVar[DataKind] = "pairs"
    needs: ClassVar[tuple[Need, ...]] = ()

    def __init__(self, config: RewardModelConfig, data: Data[PreferencePair], models: Models) -> None:
        self.config = config
        self.scorer = self.trained = self.product = models.scorer()
        self.feed = pairs(data, self.scorer.codec, config, self.scorer.device)

    def loss(self, batch: PairBatch) -> Loss:
        """Mean loss over the B pairs of a batch."""
        scores = pair_scores(self.scorer, batch)
        losses = reward_model_loss(scores, batch.preference, batch.margin, self.config.centring)
        return Loss(losses.mean(), reward_stats(scores, batch.preference))

    @torch.no_grad()
    def calibrate(self) -> CalibrationCurve:
        """Accuracy and calibration on the held-out pairs, of which there must be some."""
        margins, preferences = [], []
        self.trained.eval()
        for batch in self.feed.held_out():
            scores = pair_scores(self.scorer, batch)
            margins.append((scores.chosen - scores.rejected).cpu())
            preferences.append(batch.preference.cpu())
        return calibration(torch.cat(margins), torch.cat(preferences))

    def summary(self) -> dict[str, float]:
        """Accuracy, ECE and the reliability curve on the held-out pairs; empty without any."""
        if not any(True for _ in self.feed.held_out()):
            return {}
        found = self.calibrate()
        curve = zip(found.predicted.tolist(), found.observed.tolist(), found.counts.tolist(), strict=True)
        points = {
            f"calibration/{place:02d}/{name}": value
            for place, point in enumerate(curve)
            if point[2]
            for name, value in zip(("predicted", "observed", "n"), point, strict=True)
        }
        return {"held_out/accuracy": found.accuracy, "held_out/ece": found.ece, **points}
