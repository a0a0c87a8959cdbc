"""A reward model that is asked about a principle in words: yes or no.  Wang et al. 2025 (RLBFF), 2509.21319.

    L(φ) = −ℓ log σ( r_φ(x, y, c) ) − (1 − ℓ) log σ( −r_φ(x, y, c) )
    reward(x, y) = Σ_c w_c r_φ(x, y, c)

paper   code               differs from the paper
c       an attribute       the principle, a text: the subset of a rating, put between prompt and response
ℓ       record.ratings     whether the response satisfies it, in [0, 1]. The paper extracts yes or no from
                           what people wrote
r_φ     the scorer         one output at the end of sequence. The paper's is log p(yes) − log p(no) of the
                           next token: a head of two outputs, whose difference is this one
w_c     config.weights     fixed weights of principles. They need not be those that were learnt

Our reading: the abstract and pages about the paper were at hand, not its code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from farm.config import TrainConfig
from farm.methods.reward_regression import named_weights
from farm.models.codec import Row, collate
from farm.models.ops import preference_loss
from farm.models.reward_cards import PrincipleCard, RewardFolder
from farm.models.tokens import Tokens
from farm.training.data import AttributedOutput, Data, DataError, quote
from farm.training.feed import fed
from farm.training.method import DataKind, Loss, Method, Models, Need


class PrincipleModelConfig(TrainConfig):
    """As the reward model's, in answers: 1 epoch of batches of 32 at 3e-6."""

    batch_size: int = 32
    """Answers about an output and a principle per optimizer step, over all processes."""
    learning_rate: float = 3e-6
    weights: tuple[str, ...] = ()
    """Weight of each principle in the reward, such as polite=1,rude=-1; none: those learnt, all alike."""
    wording: str = "Principle: {principle}\n"
    """How a principle is put between prompt and response."""

    def problems(self) -> list[str]:
        """Problems of the shared options, and a wording that leaves the principle out."""
        found = super().problems()
        return found if "{principle}" in self.wording else [*found, "wording has no {principle}"]


class PrincipleBatch(NamedTuple):
    """Outputs, each asked about one principle."""

    tokens: Tokens  # B rows: prompt, principle, response
    label: Tensor  # (B,) P(the output satisfies it)
    principle: list[str]  # B

    @property
    def weight(self) -> Tensor:
        """Number of answers."""
        return torch.tensor(self.label.shape[0])


class AskedRow(NamedTuple):
    """An output with a principle, as tokens."""

    row: Row
    label: float
    principle: str

    @property
    def length(self) -> int:
        """Tokens of the row."""
        return self.row.length


def principle_loss(score: Tensor, label: Tensor | float) -> Tensor:
    """Loss of each answer: (B,). score: log-odds of yes. label: P(yes) in [0, 1]."""
    return preference_loss(score, label)


def balanced_accuracy(score: Tensor, label: Tensor) -> float:
    """Mean share of right answers among those that are yes and those that are no; NaN without both.

    A model that always says yes has ½. Labels of ½ are left out; a score of 0 is half right.
    """
    right = 0.5 + 0.5 * score.sign() * (label - 0.5).sign()
    return float((right[label > 0.5].mean() + right[label < 0.5].mean()) / 2)


class PrincipleModel(Method[PrincipleBatch]):
    """A reward model of principles (RLBFF's scalar model, Wang et al. 2025)."""

    Config: ClassVar[type[PrincipleModelConfig]] = PrincipleModelConfig
    data_kind: ClassVar[DataKind] = "attributes"
    needs: ClassVar[tuple[Need, ...]] = ()

    def __init__(self, config: PrincipleModelConfig, data: Data[AttributedOutput], models: Models) -> None:
        self.config = config
        learnt = sorted({name for record in data.train for name in record.ratings})
        weights = named_weights(config.weights) or dict.fromkeys(learnt, 1 / max(1, len(learnt)))
        self.scorer = self.trained = models.scorer()
        self.product = RewardFolder(self.scorer, PrincipleCard(weights, config.wording).text)
        self.feed = fed(data, self.rows, make=self.batch, codec=self.scorer.codec, config=config)

    def rows(self, records: Sequence[AttributedOutput]) -> list[AskedRow]:
        """The records as tokens, a row for each rating. Raises DataError on a rating outside [0, 1]."""
        codec, made = self.scorer.codec, []
        for record in records:
            for name, label in record.ratings.items():
                if not 0 <= label <= 1:
                    what = f"a rating of {name!r} is {label}, expected a number in [0, 1]"
                    raise DataError(what, where=quote(record.prompt), remedy="leave it out of the snapshot")
                control = self.config.wording.replace("{principle}", name)
                made.append(AskedRow(codec.row(record.prompt, record.output, control), label, name))
        return made

    def batch(self, rows: Sequence[AskedRow]) -> PrincipleBatch:
        """The batch of some rows."""
        device = self.scorer.device
        tokens = collate([each.row for each in rows], self.scorer.codec.pad_id, device)
        label = torch.tensor([each.label for each in rows], device=device)
        return PrincipleBatch(tokens, label, [each.principle for each in rows])

    def loss(self, batch: PrincipleBatch) -> Loss:
        """Mean loss over the B answers of a batch."""
        return Loss(principle_loss(self.scorer(batch.tokens), batch.label).mean(), {})

    @torch.no_grad()
    def summary(self) -> dict[str, float]:
        """Balanced accuracy of each principle on the held-out answers, where both yes and no are there."""
        self.trained.eval()
        said: dict[str, list[tuple[float, float]]] = {}
        for batch in self.feed.held_out():
            scores, labels = self.scorer(batch.tokens).tolist(), batch.label.tolist()
            for name, *answer in zip(batch.principle, scores, labels, strict=True):
                said.setdefault(name, []).append((answer[0], answer[1]))
        found = {name: balanced_accuracy(*torch.tensor(each).unbind(-1)) for name, each in said.items()}
        return {f"held_out/balanced/{name}": value for name, value in found.items() if not math.isnan(value)}
