"""Reward regression: ratings of one attribute or several, by squared error.  Wang et al. 2024, 2406.08673.

    L(φ) = 1/|K| Σ_((y, a) ∈ K) ( r_φ,a(x, y) − (g_a(y) − μ_a) / s_a )²       K: the ratings that were given
    reward(x, y) = Σ_a w_a r_φ,a(x, y)

paper        code                differs from the paper
r_φ,a        scorer.outputs      one output of the head for each attribute, at the end of sequence
g_a          record.ratings      on any scale. μ_a and s_a are its mean and deviation over the training rows:
                                 attributes of several scales weigh alike. HelpSteer2 has one scale and no
                                 such step. A missing rating costs nothing
w_a          config.weights      fixed weights, here on standardised attributes. ArmoRM (Wang et al. 2024,
                                 2406.12845) learns a gate on the prompt in their place, which is not here
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from farm.config import TrainConfig
from farm.models.codec import Row, collate
from farm.models.reward_cards import Attribute, AttributesCard, RewardFolder
from farm.models.tokens import Tokens
from farm.training.data import AttributedOutput, Data, DataError
from farm.training.feed import fed
from farm.training.method import DataKind, Loss, Method, Models, Need


class RewardRegressionConfig(TrainConfig):
    """As the reward model's, in outputs: 1 epoch of batches of 32 at 3e-6."""

    batch_size: int = 32
    """Outputs per optimizer step, over all processes."""
    learning_rate: float = 3e-6
    weights: tuple[str, ...] = ()
    """Weight of each attribute in the reward, such as helpful=1,verbose=-0.2; none: all alike, together 1."""


class AttributeBatch(NamedTuple):
    """Outputs with standardised ratings."""

    tokens: Tokens  # B rows
    rating: Tensor  # (B, K) NaN where nobody rated

    @property
    def weight(self) -> Tensor:
        """Number of ratings."""
        return self.rating.isfinite().sum()


class RatedRow(NamedTuple):
    """An output as tokens."""

    row: Row
    ratings: list[float]  # of each attribute, standardised; NaN where nobody rated

    @property
    def length(self) -> int:
        """Tokens of the row."""
        return self.row.length


def regression_loss(outputs: Tensor, rating: Tensor) -> Tensor:
    """Mean squared error over the ratings that were given: a scalar.

    outputs, rating: (B, K), where a rating that was not given is NaN.
    """
    given = rating.isfinite()
    return (outputs - rating)[given].square().mean()


def named_weights(given: Sequence[str]) -> dict[str, float]:
    """Weights of NAME=NUMBER. Raises DataError on others."""
    weights = {}
    for each in given:
        name, _, number = each.rpartition("=")
        try:
            weights[name] = float(number)
        except ValueError:
            what, remedy = f"{each!r} is no NAME=NUMBER", "write such as helpful=1"
            raise DataError(what, where="weights", remedy=remedy) from None
    return weights


def weights_of(given: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    """Weight of each attribute, 0 where others are named. Raises DataError on one that was not rated."""
    if not given:
        return dict.fromkeys(names, 1 / len(names))
    weights = named_weights(given)
    for name in weights:
        if name not in names:
            what = f"no attribute {name!r} was rated (there is {', '.join(names)})"
            raise DataError(what, where="weights", remedy="name attributes of the snapshot")
    return {name: weights.get(name, 0.0) for name in names}


def attribute(name: str, ratings: Sequence[float], weight: float) -> Attribute:
    """The scale of an attribute. Raises DataError where all ratings are equal."""
    if len(ratings) < 2 or not stdev(ratings):
        what = f"all {len(ratings)} ratings of {name!r} that are learnt from are equal"
        raise DataError(what, where="attributes", remedy="leave the attribute out of the snapshot")
    return Attribute(name, mean=fmean(ratings), deviation=stdev(ratings), weight=weight)


class RewardRegression(Method[AttributeBatch]):
    """A reward model of ratings (HelpSteer2's regression, Wang et al. 2024)."""

    Config: ClassVar[type[RewardRegressionConfig]] = RewardRegressionConfig
    data_kind: ClassVar[DataKind] = "attributes"
    needs: ClassVar[tuple[Need, ...]] = ()

    def __init__(self, config: RewardRegressionConfig, data: Data[AttributedOutput], models: Models) -> None:
        data.first  # noqa: B018  # raises where there is none
        names = sorted({name for record in data.train for name in record.ratings})
        weights = weights_of(config.weights, names)
        self.attributes = [
            attribute(name, [r.ratings[name] for r in data.train if name in r.ratings], weights[name])
            for name in names
        ]
        self.config = config
        self.scorer = self.trained = models.scorer(outputs=len(names))
        self.product = RewardFolder(self.scorer, AttributesCard(self.attributes).text)
        self.feed = fed(data, self.rows, make=self.batch, codec=self.scorer.codec, config=config)

    def rows(self, records: Sequence[AttributedOutput]) -> list[RatedRow]:
        """The records as tokens, but for those without a rating that is learnt."""
        codec = self.scorer.codec
        return [
            RatedRow(codec.row(r.prompt, r.output), ratings)
            for r in records
            if any(map(_is_number, ratings := self.standardised(r.ratings)))
        ]

    def standardised(self, ratings: Mapping[str, float]) -> list[float]:
        """The rating of each attribute in deviations from its mean; NaN where there is none."""
        return [(ratings.get(a.name, torch.nan) - a.mean) / a.deviation for a in self.attributes]

    def batch(self, rows: Sequence[RatedRow]) -> AttributeBatch:
        """The batch of some rows."""
        device, pad = self.scorer.device, self.scorer.codec.pad_id
        tokens = collate([each.row for each in rows], pad, device)
        return AttributeBatch(tokens, torch.tensor([each.ratings for each in rows], device=device))

    def loss(self, batch: AttributeBatch) -> Loss:
        """Mean squared error over the ratings of a batch."""
        loss = regression_loss(self.scorer.outputs(batch.tokens), batch.rating)
        return Loss(loss, {})

    @torch.no_grad()
    def summary(self) -> dict[str, float]:
        """1 − MSE / variance on the held-out outputs, of each attribute with two ratings or more there."""
        self.trained.eval()
        batches = list(self.feed.held_out())
        if not batches:
            return {}
        outputs = torch.cat([self.scorer.outputs(batch.tokens).cpu() for batch in batches])
        ratings = torch.cat([batch.rating.cpu() for batch in batches])
        found = {}
        for each, said, given in zip(self.attributes, outputs.T, ratings.T, strict=True):
            known = given.isfinite()
            spread = (given[known] - given[known].mean()).square().sum()
            if spread > 0:
                explained = 1 - (said - given)[known].square().sum() / spread
                found[f"held_out/r2/{each.name}"] = float(explained)
        return found


def _is_number(value: float) -> bool:
    return value == value  # NaN is not
