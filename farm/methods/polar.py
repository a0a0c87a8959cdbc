"""A policy discriminator: a score beside a reference response.  Dou et al. 2025 (POLAR), arXiv 2507.05197.

    L(φ) = −E log σ( r_φ(x, y_ref, y⁺) − r_φ(x, y_ref, y⁻) )
    pre-training:  y_ref, y⁺ ~ π_A(·|x),  y⁻ ~ π_B(·|x)          who wrote it is the label
    fine-tuning:   y_ref a reference answer,  y⁺, y⁻ = y_w, y_l
    reward(x, y) = r_φ(x, y_ref(x), y)

paper   code               differs from the paper
r_φ     self.scorer        reference_row: x, y_ref, x, y; a scalar head at the end of y. The authors put a
                           special token between the two and read another; here the end of sequence is both
y_ref   pair.reference     in pre-training another draw of the author of y⁺ (training/authors.py), in
                           fine-tuning the demonstration of the instruction
L       polar_loss         a preference p < 1 weighs both directions; a tie is ½

The optimum of RL with a KL term has r = β log π_target/π_init + const, so a reward tells how near a policy is
to a target. Pre-training learns such distances between any two policies; fine-tuning, which ones people mean.

Our reading: the abstract and the code of fine-tuning were at hand, not the loss of pre-training.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from farm.config import TrainConfig
from farm.models.codec import Codec
from farm.models.ops import preference_loss
from farm.models.referenced import reference_row
from farm.models.reward_cards import ReferencedCard, RewardFolder
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair
from farm.training.feed import PairRows, pairs
from farm.training.method import DataKind, Loss, Method, Models, Need
from farm.training.score_method import PairScores, Predicted, pair_scores, reliability, reward_stats


class POLARConfig(TrainConfig):
    """The authors' for fine-tuning: 1 epoch at 1e-5, second moments at .95."""

    batch_size: int = 16
    """Pairs per optimizer step, over all processes."""
    adam_betas: tuple[float, float] = (0.9, 0.95)
    max_length: int = 1024
    """Tokens at most in a row: the prompt twice, the reference and a response."""


def polar_loss(scores: PairScores, preference: Tensor | float) -> Tensor:
    """Loss of each pair: (B,). scores: beside the same reference. preference: P(chosen preferred)."""
    return preference_loss(scores.margin, preference)


def beside_reference(codec: Codec, pair: PreferencePair) -> PairRows:
    """A row for each output of a pair, with the pair's reference in it."""
    prompt, reference = pair.prompt, pair.reference
    return PairRows(*(reference_row(codec, prompt, reference, y) for y in (pair.output_a, pair.output_b)))


class POLAR(Method[PairBatch]):
    """A reward model that reads a reference response beside each output (POLAR, Dou et al. 2025)."""

    Config: ClassVar[type[POLARConfig]] = POLARConfig
    data_kind: ClassVar[DataKind] = "referenced"
    needs: ClassVar[tuple[Need, ...]] = ("demonstrations",)

    def __init__(self, config: POLARConfig, data: Data[PreferencePair], models: Models) -> None:
        self.config = config
        self.scorer = self.trained = models.scorer(keeps=ReferencedCard.kind)
        references = {each.prompt: each.output for each in reversed(data.demonstrations)}  # the first stands
        self.product = RewardFolder(self.scorer, ReferencedCard(references).text)
        codec, device = self.scorer.codec, self.scorer.device
        self.feed = pairs(data, codec, config, device, rows_of=beside_reference)

    def loss(self, batch: PairBatch) -> Loss:
        """Mean loss over the B pairs of a batch."""
        scores = pair_scores(self.scorer, batch)
        return Loss(polar_loss(scores, batch.preference).mean(), reward_stats(scores, batch.preference))

    def predicted(self, batch: PairBatch) -> Predicted:
        """What the model predicts for pairs."""
        return Predicted(pair_scores(self.scorer, batch).margin, batch.preference)

    def summary(self) -> dict[str, float]:
        """Accuracy, ECE and the reliability curve on the held-out pairs; empty without any."""
        return reliability(self.trained, self.feed.held_out(), self.predicted)
