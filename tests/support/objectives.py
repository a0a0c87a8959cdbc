"""Losses of methods on given pairs, and the vectors of other implementations that they are held to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from farm.config import TrainConfig
from farm.methods import METHODS, load
from farm.models.ops import masked_sum
from farm.models.policy import Policy
from farm.models.scorer import Scorer
from farm.models.tokens import Tokens
from farm.training.data import Data
from farm.training.method import SequenceLogps
from farm.training.pair_method import PairTrainer, RatedPairs, RatedResponses

VECTORS = Path(__file__).parents[1] / "golden" / "vectors"
Rows = Sequence[Sequence[float]]


class Case(NamedTuple):
    """A loss and its gradients at each token's log-probability, with what they were made of."""

    inputs: Mapping[str, Any]
    options: Mapping[str, Any]
    dtype: str
    loss: float
    gradients: Mapping[str, Rows]
    paper: Mapping[str, Any] | None  # where paper or authors say otherwise


def cases(family: str, name: str) -> list[Case]:
    """The cases of a name in one file of vectors."""
    found = json.loads((VECTORS / f"{family}_objectives.json").read_text(encoding="utf-8"))
    return [
        Case(
            found["inputs"].get(case["inputs"]) if isinstance(case["inputs"], str) else case["inputs"],
            case["options"],
            case.get("dtype", "float64"),
            case["loss"],
            case["gradients"],
            case.get("paper"),
        )
        for case in found["methods"][name]
    ]


def pair_trainers() -> Iterator[tuple[str, PairTrainer[Any]]]:
    """Every method that is made of a loss on pairs."""
    loaded = ((name, load(name)) for name in METHODS)
    return ((name, trainer) for name, trainer in loaded if isinstance(trainer, PairTrainer))


def leaves(rows: Rows) -> list[Tensor]:
    """Log-probabilities of each row's tokens, of which gradients are wanted."""
    return [torch.tensor(row, dtype=torch.float64, requires_grad=True) for row in rows]


def responses(rows: Sequence[Tensor], reference: Rows | None = None) -> RatedResponses:
    """Sums and lengths of rows of token log-probabilities."""
    logps = torch.stack([row.sum() for row in rows])
    known = 0.0 if reference is None else torch.tensor([sum(row) for row in reference], dtype=torch.float64)
    return RatedResponses(logps, known, torch.tensor([len(row) for row in rows]))


def pair_loss(
    trainer: PairTrainer[Any], config: TrainConfig, inputs: Mapping[str, Any], preference: float = 1.0
) -> tuple[float, dict[str, list[list[float]]]]:
    """Mean loss over the pairs of a case, and its gradients at every token."""
    chosen, rejected = leaves(inputs["chosen"]), leaves(inputs["rejected"])
    sides = [
        responses(rows, inputs.get(f"ref_{name}"))
        for name, rows in (("chosen", chosen), ("rejected", rejected))
    ]
    loss = trainer.loss(RatedPairs(sides[0], sides[1], preference), config).mean()
    grads = torch.autograd.grad(loss, [*chosen, *rejected])
    found = [grad.tolist() for grad in grads]
    return loss.item(), {"chosen": found[: len(chosen)], "rejected": found[len(chosen) :]}


def pairs(values: Tensor, preference: float, lengths: tuple[int, int] = (3, 5)) -> RatedPairs:
    """Pairs of made-up numbers. values: (4, B), chosen and rejected, and both under the reference."""
    of = [torch.full_like(values[0], length) for length in lengths]
    return RatedPairs(
        RatedResponses(values[0], values[2], of[0]), RatedResponses(values[1], values[3], of[1]), preference
    )


def drawn() -> Tensor:
    """Log-probabilities of chosen and rejected responses of five pairs, and those of the reference."""
    torch.manual_seed(3)
    return -12 * torch.rand(4, 5, dtype=torch.float64) - 0.1


class Shared:
    """Models of a run in float64, loaded once: a policy that nothing trains, and another as the reference."""

    def __init__(self, model: str, other: str) -> None:
        self._policy, self._reference = (Policy.load(each, seed=0).double() for each in (model, other))
        self._value = Scorer.load(model, seed=0, new_head=True).double()
        self._source, self._scorers = model, dict[int, Scorer]()

    reference_source = "another"

    def policy(self) -> Policy:
        return self._policy

    def value(self) -> Scorer:
        return self._value

    def scorer(self, outputs: int = 1, keeps: str | None = None) -> Scorer:
        if outputs not in self._scorers:
            found = Scorer.load(self._source, seed=0, new_head=True, outputs=outputs)
            self._scorers[outputs] = found.double()
        return self._scorers[outputs]

    def reference(self) -> Policy:
        return self._reference

    def reference_logps(self) -> SequenceLogps:
        return self._rated

    @torch.no_grad()
    def _rated(self, tokens: Tokens) -> Tensor:
        return masked_sum(self._reference(tokens), tokens.mask)


def step_gradient(name: str, models: Any, records: Sequence[Any], micro_batch: int, **options: Any) -> Tensor:
    """The gradient of the first step, as the loop adds it up."""
    trainer: Any = load(name)
    config = trainer.Config(batch_size=len(records), micro_batch=micro_batch, **options)
    method = trainer(config, Data(records), models)
    batches = next(iter(method.feed.batches(0)))
    assert len(batches) == len(records) / micro_batch
    total = sum(batch.weight for batch in batches)
    method.trained.zero_grad()
    for batch in batches:
        (method.loss(batch).loss * batch.weight / total).backward()
    return torch.cat([p.grad.flatten() for p in method.trained.parameters()])
