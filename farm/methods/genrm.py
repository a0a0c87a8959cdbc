"""A generative reward model: a language model that names the better output.  Zhang et al. 2024, 2408.15240.

    L(θ) = −E [ p log π_θ(A | x, y_1, y_2) + (1 − p) log π_θ(B | x, y_1, y_2) ]
    P(y_1 ≻ y_2) = π_θ(A) / (π_θ(A) + π_θ(B))

paper      code             differs from the paper
I          record.messages  the prompt of an annotator. The paper asks about one solution whether it is
                            correct, Yes or No; here both outputs stand in a question, in both orders
Yes, No    record.names     π_θ(A) is the sum over all tokens that say A, as a judge's reply is read
           record.first     p, what people said; a tie is ½
λ          -                the paper adds λ times the NLL of correct solutions, so that the model can still
                            write them. Here it is a judge alone, and learns no reasons (the paper's CoT)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from farm.config import TrainConfig
from farm.models.asked import asked_ids, saying, tokens_of
from farm.models.codec import Row, collate
from farm.models.ops import full_logps, in_order
from farm.models.tokens import Tokens
from farm.training.data import AskedPair, Data
from farm.training.feed import fed
from farm.training.method import DataKind, Loss, Method, Models, Need
from farm.training.score_method import Predicted, reliability


class GenRMConfig(TrainConfig):
    """As a reward model's, in questions: 1 epoch of batches of 32 at 3e-6; a pair makes two questions."""

    batch_size: int = 32
    """Questions per optimizer step, over all processes."""
    learning_rate: float = 3e-6
    max_length: int = 2048
    """Tokens at most in a question with its reply."""


class VerdictBatch(NamedTuple):
    """Questions, each with a reply of one token."""

    tokens: Tokens  # B rows; the mask is 1 on the reply alone
    first: Tensor  # (B,) P(the output shown first preferred)

    @property
    def weight(self) -> Tensor:
        """Number of questions."""
        return torch.tensor(self.first.shape[0])


class VerdictRow(NamedTuple):
    """A question as tokens."""

    row: Row
    first: float

    @property
    def length(self) -> int:
        """Tokens of the row."""
        return self.row.length


class VerdictLogps(NamedTuple):
    """Log-probabilities that the reply names the output shown first, or the other: (B,) each."""

    first: Tensor
    second: Tensor

    @property
    def margin(self) -> Tensor:
        """Log-odds of the output shown first: (B,)."""
        return self.first - self.second


def verdict_logps(logits: Tensor, first: Sequence[int], second: Sequence[int]) -> VerdictLogps:
    """What the logits of a reply (B, V) say of two names. first, second: the tokens that say each."""
    logps = full_logps(logits)
    return VerdictLogps(*(logps[:, list(ids)].logsumexp(-1) for ids in (first, second)))


def genrm_loss(said: VerdictLogps, first: Tensor | float) -> Tensor:
    """Loss of each question: (B,). first: P(the output shown first preferred)."""
    return -(first * said.first + (1 - first) * said.second)


class GenRM(Method[VerdictBatch]):
    """A generative reward model on pairs (Zhang et al. 2024)."""

    Config: ClassVar[type[GenRMConfig]] = GenRMConfig
    data_kind: ClassVar[DataKind] = "questions"
    needs: ClassVar[tuple[Need, ...]] = ()

    def __init__(self, config: GenRMConfig, data: Data[AskedPair], models: Models) -> None:
        self.config = config
        self.policy = self.trained = self.product = models.policy()
        codec = self.policy.codec
        tokens = tokens_of(codec, codec.embeddings or len(codec.tokenizer))
        special = frozenset(codec.tokenizer.all_special_ids)
        self.names = [saying(tokens, name, special) for name in data.first.names]
        self.feed = fed(data, self.rows, make=self.batch, codec=codec, config=config)

    def rows(self, records: Sequence[AskedPair]) -> list[VerdictRow]:
        """The questions as tokens. The token of the reply has no meaning: both replies are learnt."""
        codec, reply = self.policy.codec, self.names[0][:1]
        return [VerdictRow(Row(asked_ids(codec, r.messages), reply), r.first) for r in records]

    def batch(self, rows: Sequence[VerdictRow]) -> VerdictBatch:
        """The batch of some questions."""
        device = self.policy.device
        tokens = collate([each.row for each in rows], self.policy.codec.pad_id, device)
        return VerdictBatch(tokens, torch.tensor([each.first for each in rows], device=device))

    def said(self, batch: VerdictBatch) -> VerdictLogps:
        """The model's verdicts."""
        return verdict_logps(self.policy.response_logits(batch.tokens), *self.names)

    def loss(self, batch: VerdictBatch) -> Loss:
        """Mean loss over the B questions of a batch.

        verdict/names: the probability of a reply that is one of the two names.
        """
        said = self.said(batch)
        detached = VerdictLogps(*(each.detach() for each in said))
        stats = {
            "rewards/accuracies": in_order(detached.margin, batch.first).mean(),
            "verdict/names": (detached.first.exp() + detached.second.exp()).mean(),
        }
        return Loss(genrm_loss(said, batch.first).mean(), stats)

    def predicted(self, batch: VerdictBatch) -> Predicted:
        """What the model predicts for questions."""
        return Predicted(self.said(batch).margin, batch.first)

    def summary(self) -> dict[str, float]:
        """Accuracy, ECE and the reliability curve on the held-out questions; empty without any."""
        return reliability(self.trained, self.feed.held_out(), self.predicted)
