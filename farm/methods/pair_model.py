"""A pair model: a preference read from both outputs at once.  Jiang et al. 2023 (PairRM), arXiv 2306.02561.

    f_φ(x, y_1, y_2): log-odds that y_1 is preferred
    L(φ) = −½ E [ log σ( f_φ(x, y_w, y_l) ) + log σ( −f_φ(x, y_l, y_w) ) ]
    P(y_1 ≻ y_2) = σ( ( f_φ(x, y_1, y_2) − f_φ(x, y_2, y_1) ) / 2 )

paper   code               differs from the paper
f       self.scorer        PairRM has an output for each side and f is their difference; here f is one output
x⊕y     pair_row           prompt, y_1 with its end, y_2 with its end; read at the second end
L       both orders        a pair is learnt in both orders in one step, so that the order tells nothing
        preference_loss    a preference p < 1 weighs both directions; a tie is ½

P(y_1 ≻ y_2) + P(y_2 ≻ y_1) = 1 for any f. It can hold a ≻ b ≻ c ≻ a, which no score for each output can.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from torch import Tensor

from farm.config import TrainConfig
from farm.models.codec import Codec
from farm.models.ops import in_order, preference_loss
from farm.models.pair_margins import pair_row
from farm.models.reward_cards import PairCard, RewardFolder
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair
from farm.training.feed import PairRows, pairs
from farm.training.method import DataKind, Loss, Method, Models, Need
from farm.training.score_method import Predicted, reliability


class PairModelConfig(TrainConfig):
    """As the reward model's: 1 epoch of batches of 16 at 3e-6."""

    batch_size: int = 16
    """Pairs per optimizer step, over all processes."""
    learning_rate: float = 3e-6
    max_length: int = 1024
    """Tokens at most in a prompt with both responses."""


class OrderedOdds(NamedTuple):
    """f of the chosen response before the rejected one, and after it: (B,) each."""

    ahead: Tensor
    behind: Tensor

    @property
    def margin(self) -> Tensor:
        """Log-odds that the chosen response is preferred, whatever the order: (B,)."""
        return (self.ahead - self.behind) / 2


def pair_model_loss(odds: OrderedOdds, preference: Tensor | float) -> Tensor:
    """Loss of each pair, the mean over its two orders: (B,). preference: P(chosen preferred)."""
    orders = preference_loss(odds.ahead, preference), preference_loss(-odds.behind, preference)
    return (orders[0] + orders[1]) / 2


def both_orders(codec: Codec, pair: PreferencePair) -> PairRows:
    """A row for each order of a pair."""
    a, b = pair.output_a, pair.output_b
    return PairRows(*(pair_row(codec, pair.prompt, *order) for order in ((a, b), (b, a))))


class PairModel(Method[PairBatch]):
    """A reward model that reads both outputs (PairRM, Jiang et al. 2023)."""

    Config: ClassVar[type[PairModelConfig]] = PairModelConfig
    data_kind: ClassVar[DataKind] = "pairs"
    needs: ClassVar[tuple[Need, ...]] = ()

    def __init__(self, config: PairModelConfig, data: Data[PreferencePair], models: Models) -> None:
        self.config = config
        self.scorer = self.trained = models.scorer()
        self.product = RewardFolder(self.scorer, PairCard("pair").text)
        codec, device = self.scorer.codec, self.scorer.device
        self.feed = pairs(data, codec, config, device, rows_of=both_orders)

    def odds(self, batch: PairBatch) -> OrderedOdds:
        """f of each pair in both orders, in one pass."""
        return OrderedOdds(*self.scorer(batch.both).chunk(2))

    def loss(self, batch: PairBatch) -> Loss:
        """Mean loss over the B pairs of a batch. rewards/first: mean log-odds of the response shown first."""
        odds = self.odds(batch)
        said = OrderedOdds(*(each.detach() for each in odds))
        stats = {
            "rewards/margins": said.margin.mean(),
            "rewards/accuracies": in_order(said.margin, batch.preference).mean(),
            "rewards/first": (said.ahead + said.behind).mean() / 2,
        }
        return Loss(pair_model_loss(odds, batch.preference).mean(), stats)

    def predicted(self, batch: PairBatch) -> Predicted:
        """What the model predicts for pairs."""
        return Predicted(self.odds(batch).margin, batch.preference)

    def summary(self) -> dict[str, float]:
        """Accuracy, ECE and the reliability curve on the held-out pairs; empty without any."""
        return reliability(self.trained, self.feed.held_out(), self.predicted)
