"""General preference model: a vector for each output, and cycles.  Zhang et al. 2024, arXiv 2410.02197.

    s(y_1 ≻ y_2) = ⟨R v_φ(x, y_1), v_φ(x, y_2)⟩ = Σ_i v_2i(y_1) v_2i+1(y_2) − v_2i+1(y_1) v_2i(y_2)
    L(φ) = −E log σ( s(y_w ≻ y_l) / τ )

paper   code               differs from the paper
v_φ     scorer.outputs     2k outputs of the head at the end of sequence. As in the authors' code they are not
                           normalised; their scale of the blocks by the prompt is left out
R       skew               farm/models/pair_margins.py
τ       config.temperature
        preference_loss    a preference p < 1 weighs both directions; a tie is ½

With v = (z, 1) it is Bradley and Terry's model: s = z_1 − z_2. It costs what a reward model costs, since each
output is read once, and any two can then be compared.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from torch import Tensor

from farm.config import TrainConfig, option
from farm.models.ops import in_order, preference_loss
from farm.models.pair_margins import skew
from farm.models.reward_cards import PairCard, RewardFolder
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair
from farm.training.feed import pairs
from farm.training.method import DataKind, Loss, Method, Models, Need
from farm.training.score_method import Predicted, reliability


class GeneralPreferenceConfig(TrainConfig):
    """As the reward model's: 1 epoch of batches of 16 at 3e-6."""

    batch_size: int = 16
    """Pairs per optimizer step, over all processes."""
    learning_rate: float = 3e-6
    blocks: int = option(2, at_least=1)
    """k: the vector has two numbers for each. The authors' code has 2."""
    temperature: float = option(1.0, above=0)
    """The skew product is divided by it. The authors' is 0.1, beside a head that begins near 0."""


class PairVectors(NamedTuple):
    """Vectors of both responses: (B, 2k) each."""

    chosen: Tensor
    rejected: Tensor


def general_preference_loss(vectors: PairVectors, preference: Tensor | float, temperature: float) -> Tensor:
    """Loss of each pair: (B,). preference: P(chosen preferred)."""
    return preference_loss(skew(*vectors) / temperature, preference)


class GeneralPreference(Method[PairBatch]):
    """A general preference model (Zhang et al. 2024)."""

    Config: ClassVar[type[GeneralPreferenceConfig]] = GeneralPreferenceConfig
    data_kind: ClassVar[DataKind] = "pairs"
    needs: ClassVar[tuple[Need, ...]] = ()

    def __init__(self, config: GeneralPreferenceConfig, data: Data[PreferencePair], models: Models) -> None:
        self.config = config
        outputs = 2 * config.blocks
        self.scorer = self.trained = models.scorer(outputs=outputs)
        card = PairCard("general_preference", outputs, config.temperature)
        self.product = RewardFolder(self.scorer, card.text)
        self.feed = pairs(data, self.scorer.codec, config, self.scorer.device)

    def vectors(self, batch: PairBatch) -> PairVectors:
        """The vectors of both responses of each pair, in one pass."""
        return PairVectors(*self.scorer.outputs(batch.both).chunk(2))

    def loss(self, batch: PairBatch) -> Loss:
        """Mean loss over the B pairs of a batch."""
        vectors, temperature = self.vectors(batch), self.config.temperature
        margin = skew(*vectors).detach() / temperature
        stats = {
            "rewards/margins": margin.mean(),
            "rewards/accuracies": in_order(margin, batch.preference).mean(),
        }
        return Loss(general_preference_loss(vectors, batch.preference, temperature).mean(), stats)

    def predicted(self, batch: PairBatch) -> Predicted:
        """What the model predicts for pairs."""
        return Predicted(skew(*self.vectors(batch)) / self.config.temperature, batch.preference)

    def summary(self) -> dict[str, float]:
        """Accuracy, ECE and the reliability curve on the held-out pairs; empty without any."""
        return reliability(self.trained, self.feed.held_out(), self.predicted)
