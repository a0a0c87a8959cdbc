"""Prefer to classify: a classifier that also learns which of two outputs is more of its class.

Kim, Shin and Kang 2023, arXiv 2306.04925, code.

    L(φ)   = L_cls + λ_c L_cons + λ_p L_pref − λ_d L_div       for two outputs of one class y, the majority's
    L_cls  = ½ CE(m_1, p_1) + ½ CE(m_2, p_2),   p = σ( r_φ(x, y) ),   m: the majority, 1 good, 0 bad
    L_cons = 2 max(0, |s| − sign(s) (p_1 − p_2)),   |p_1 − p_2| where s = 0,   s = v_1 − v_2: shares of votes
    L_pref = mean_k CE(o, q_k),   q_k = σ( h_k(y_1) − h_k(y_2) ),   o = 1, ½, 0: which has more votes of y
    L_div  = mean_(k ≠ l) CE(q_k, q_l)                         no gradient flows into q_k

paper    code                 differs from the paper
r_φ      first output         log-odds that an output is good: the reward
h_k      the other outputs    tanh of a linear head for each k and class. The authors' have two hidden layers,
                              which take the class as a constant vector: our reading, of least size
pairs    partners             each output with another one of its class, drawn anew in each epoch. The authors
                              draw freely, so one may be drawn twice; here each is drawn once
L_cons   agreement_loss       the authors' for shares of votes, a sum over both classes
m        majority             ½ at a tie, whose partner is a tie too
λ_d      config.diversity     subtracted, without a bound: 0.1 as in the authors' scripts; their code has 1
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from farm.config import TrainConfig, option
from farm.models.codec import Row, collate
from farm.models.ops import in_order, preference_loss
from farm.models.reward_cards import Attribute, AttributesCard, RewardFolder
from farm.models.tokens import Tokens
from farm.training.data import Data, DataError, JudgedOutput, check_judged, check_two_sided
from farm.training.feed import NumberedFeed, fed
from farm.training.method import DataKind, Loss, Method, Models, Need
from farm.training.score_method import Predicted, reliability

HEADS = 3


class P2CConfig(TrainConfig):
    """The authors': 20 epochs of batches of 16 at 1e-5, and all weights but one."""

    epochs: float = 20.0
    batch_size: int = 16
    """Outputs per optimizer step, over all processes, each with a partner."""
    consistency: float = option(1.0, at_least=0)
    """λ_c: weight of the agreement of two probabilities with two shares of votes."""
    preference: float = option(1.0, at_least=0)
    """λ_p: weight of the loss of the preference heads."""
    diversity: float = option(0.1, at_least=0)
    """λ_d: weight of what keeps the preference heads apart."""


class VotedRow(NamedTuple):
    """An output as tokens. number: its place among the records."""

    row: Row
    votes: float  # share of votes that say it is good
    number: int

    @property
    def length(self) -> int:
        """Tokens of the row."""
        return self.row.length


class Partnered(NamedTuple):
    """B outputs, and a partner of each."""

    rows: Sequence[VotedRow]  # the outputs
    tokens: Tokens  # 2B rows: the outputs, then their partners
    votes: Tensor  # (2, B)

    @property
    def weight(self) -> Tensor:
        """Number of pairs."""
        return torch.tensor(len(self.rows))


def majority(votes: Tensor) -> Tensor:
    """1 where most votes say good, 0 where most say bad, ½ at a tie; any shape."""
    return 0.5 + 0.5 * (votes - 0.5).sign()


def partners(rows: Sequence[VotedRow], seed: int, epoch: int) -> dict[int, VotedRow]:
    """The partner of each row by its number: the next one of its class in a circle, shuffled for the epoch.

    A row that is alone in its class is its own partner.
    """
    classes: dict[float, list[VotedRow]] = {}
    for row in rows:
        classes.setdefault(float(majority(torch.tensor(row.votes))), []).append(row)
    found = {}
    for which, circle in classes.items():
        random.Random(f"partners {seed} {epoch} {which}").shuffle(circle)
        ahead = circle[1:] + circle[:1]
        found.update({row.number: after for row, after in zip(circle, ahead, strict=True)})
    return found


def agreement_loss(probability: Tensor, votes: Tensor) -> Tensor:
    """L_cons of each pair: (2, B), (2, B) -> (B,)."""
    said, given = probability[0] - probability[1], votes[0] - votes[1]
    behind = 2 * (given.abs() - given.sign() * said).relu()
    return torch.where(given == 0, said.abs(), behind)


def diversity_loss(margins: Tensor) -> Tensor:
    """L_div of each pair: (B, K) -> (B,), K > 1. margins: log-odds of each head."""
    given = margins.sigmoid().detach()
    losses = preference_loss(margins[:, None, :], given[:, :, None])
    others = 1 - torch.eye(margins.shape[1], dtype=losses.dtype, device=losses.device)
    return (losses * others).sum((1, 2)) / others.sum()


def p2c_loss(logit: Tensor, heads: Tensor, votes: Tensor, config: P2CConfig) -> Tensor:
    """Loss of B pairs of outputs of one class: (B,). logit, votes: (2, B). heads: (2, B, K), in [−1, 1]."""
    label, margins = majority(votes), heads[0] - heads[1]
    preferred = 0.5 + 0.5 * (votes[0] - votes[1]).sign() * (2 * label[0] - 1)
    found = preference_loss(logit, label).mean(0)
    found = found + config.consistency * agreement_loss(logit.sigmoid(), votes)
    found = found + config.preference * preference_loss(margins, preferred[:, None]).mean(-1)
    return found - config.diversity * diversity_loss(margins)


def check_divided(records: Sequence[JudgedOutput]) -> None:
    """Raises DataError where the outputs of each class, of which there are two, have one share of votes."""
    if records and len({each.label for each in records if each.label != 0.5}) < 3:
        what = f"the {len(records)} outputs of a class have equal shares of votes: none is more of its class"
        remedy = "let several people vote on each output, or set preference and consistency to 0"
        raise DataError(what, where="votes", remedy=remedy)


class P2C(Method[Partnered]):
    """A reward model of votes on single outputs, with preferences within a class (Kim et al. 2023)."""

    Config: ClassVar[type[P2CConfig]] = P2CConfig
    data_kind: ClassVar[DataKind] = "judged"
    needs: ClassVar[tuple[Need, ...]] = ()

    def __init__(self, config: P2CConfig, data: Data[JudgedOutput], models: Models) -> None:
        check_two_sided(data.train)
        if config.preference or config.consistency:
            check_divided(data.train)
        self.config = config
        self.scorer = self.trained = models.scorer(outputs=1 + 2 * HEADS)
        heads = [Attribute(f"{of} {k}", 0.0, 1.0, 0.0) for of in ("bad", "good") for k in range(1, HEADS + 1)]
        card = AttributesCard([Attribute("good", 0.0, 1.0, 1.0), *heads])
        self.product = RewardFolder(self.scorer, card.text)
        self.outputs = fed(data, self.rows, make=self.batch, codec=self.scorer.codec, config=config)
        self.partners = lru_cache(maxsize=1)(partial(partners, self.outputs.rows, config.seed))
        self.feed = NumberedFeed(self.outputs, self.partnered)

    def rows(self, records: Sequence[JudgedOutput]) -> list[VotedRow]:
        """The records as tokens. Raises DataError as `check_judged` does."""
        check_judged(records)
        codec = self.scorer.codec
        return [VotedRow(codec.row(r.prompt, r.output), r.label, i) for i, r in enumerate(records)]

    def partnered(self, step: int | None, batches: Sequence[Partnered]) -> list[Partnered]:
        """The batches of a step, each output with its partner of the epoch."""
        if step is None:
            found = partners(self.outputs.held_out_rows, self.config.seed, 0)
        else:
            found = self.partners(step // self.outputs.steps_per_epoch)
        return [self.batch(each.rows, found) for each in batches]

    def batch(self, rows: Sequence[VotedRow], found: Mapping[int, VotedRow] | None = None) -> Partnered:
        """The batch of some rows. found: their partners by number; else each is its own."""
        both = [*rows, *(found[row.number] if found else row for row in rows)]
        device, pad = self.scorer.device, self.scorer.codec.pad_id
        votes = torch.tensor([each.votes for each in both], device=device)
        return Partnered(rows, collate([each.row for each in both], pad, device), votes.view(2, -1))

    def said(self, batch: Partnered) -> tuple[Tensor, Tensor]:
        """Log-odds of good, (2, B), and the heads of each pair's class, (2, B, K); at a tie those of bad."""
        outputs, good = self.scorer.outputs(batch.tokens), (batch.votes.flatten() > 0.5).long()
        heads = outputs[:, 1:].view(-1, 2, HEADS)[torch.arange(len(good)), good].tanh()
        return outputs[:, 0].view(2, -1), heads.view(2, -1, HEADS)

    def loss(self, batch: Partnered) -> Loss:
        """Mean loss over the B pairs of a batch."""
        logit, heads = self.said(batch)
        stats = {"rewards/accuracies": in_order(logit.detach(), batch.votes).mean()}
        return Loss(p2c_loss(logit, heads, batch.votes, self.config).mean(), stats)

    def predicted(self, batch: Partnered) -> Predicted:
        """What the model predicts for the outputs of a batch, without their partners."""
        return Predicted(self.said(batch)[0][0], batch.votes[0])

    def summary(self) -> dict[str, float]:
        """Accuracy, ECE and the reliability curve of votes on the held-out outputs; empty without any."""
        return reliability(self.trained, self.feed.held_out(), self.predicted)
