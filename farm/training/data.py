"""Records in, batches out: frozen facts to learn from, and the order in which a run meets them.

The order is a function of (seed, epoch) alone, and every epoch meets every row once. Rows are shuffled, then
sorted by length within windows of many steps, so that the rows of a batch are of like length; the steps of a
window are shuffled again. No row is left out in silence.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar

import torch

from db.errors import FarmError
from db.ids import content_hash
from farm.config import TrainConfig
from farm.models.codec import Codec, Row, collate
from farm.models.tokens import Prompt, Tokens
from farm.training.method import PairBatch
from farm.training.processes import Processes

WINDOW = 32  # steps over which rows are sorted by length

R = TypeVar("R")
S = TypeVar("S")
B = TypeVar("B")

logger = logging.getLogger(__name__)


class DataError(FarmError):
    """The data cannot be learnt from as it is."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A prompt and the output to imitate."""

    prompt: Prompt
    output: str
    control: str = ""  # put between them; see Template.control
    ended: bool = True  # False: the output was cut, and its end is not to be imitated


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two outputs to one prompt and P(output_a preferred) in [0, 1]; a tie is ½."""

    prompt: Prompt
    output_a: str
    output_b: str
    preference: float
    margin: float = 0.0  # by how much the preferred output's score should lead; 0 where unknown


@dataclass(frozen=True)
class Data(Generic[R]):
    """What a run learns from, what it is evaluated on meanwhile, and the processes that share the work."""

    train: Sequence[R]
    held_out: Sequence[R] = ()
    processes: Processes = field(default_factory=Processes)

    def made(self, make: Callable[[Sequence[R]], Sequence[S]]) -> Data[S]:
        """Other records made of these; nothing is made of nothing."""
        train, held_out = (make(part) if part else [] for part in (self.train, self.held_out))
        return Data(train, held_out, self.processes)


class TokenizedPair(NamedTuple):
    """A pair as tokens, the preferred output first."""

    chosen: Row
    rejected: Row
    preference: float
    margin: float

    @property
    def length(self) -> int:
        return max(self.chosen.length, self.rejected.length)


class PromptBatch(NamedTuple):
    """Prompts to respond to."""

    prompts: list[Prompt]

    @property
    def weight(self) -> torch.Tensor:
        return torch.tensor(len(self.prompts))


class BatchSource(Generic[R, B]):
    """Rows, and how they become batches; `steps` optimizer steps' worth of them."""

    def __init__(
        self,
        rows: Sequence[R],
        lengths: Sequence[int],
        make: Callable[[Sequence[R]], B],
        config: TrainConfig,
        processes: Processes,
        held_out: Sequence[R] = (),
    ) -> None:
        if not rows:
            raise DataError(
                "there is nothing to learn from", remedy="give a snapshot or split that is not empty"
            )
        self.rows, self.lengths, self.make, self.config, self.processes = (
            rows,
            lengths,
            make,
            config,
            processes,
        )
        self.held_out_rows = held_out
        self.steps_per_epoch = len(epoch_order(lengths, config.batch_size, config.seed, 0))
        self.steps = math.ceil(config.epochs * self.steps_per_epoch)
        if config.max_steps is not None:
            self.steps = min(self.steps, config.max_steps)

    def batches(self, start: int) -> Iterator[list[B]]:
        """From step `start` on: this process's batches of each step."""
        first, skip = divmod(start, self.steps_per_epoch)
        for epoch in range(first, math.ceil(self.config.epochs)):
            order = epoch_order(self.lengths, self.config.batch_size, self.config.seed, epoch)
            for rows in order[skip if epoch == first else 0 :]:
                parts = split(rows, self.lengths, self.config, self.processes.size)
                mine = parts[self.processes.rank :: self.processes.size]
                yield [self.make([self.rows[i] for i in part]) for part in mine]

    def held_out(self) -> Iterator[B]:
        """The held-out rows in batches, in their order; the same on every process."""
        size = self.config.micro_batch or self.config.batch_size
        for at in range(0, len(self.held_out_rows), size):
            yield self.make(self.held_out_rows[at : at + size])


def demonstrations(
    data: Data[Demonstration], codec: Codec, config: TrainConfig, device: torch.device
) -> BatchSource[Row, Tokens]:
    """Batches of demonstrations for a policy with this codec."""

    def rows(records: Sequence[Demonstration]) -> list[Row]:
        made = [codec.row(r.prompt, r.output, r.control, ended=r.ended) for r in records]
        return fitting(made, [row.length for row in made], config, codec.context)

    train = rows(data.train)
    return BatchSource(
        train,
        [row.length for row in train],
        lambda part: collate(part, codec.pad_id, device),
        config,
        data.processes,
        rows(data.held_out),
    )


def pairs(
    data: Data[PreferencePair], codec: Codec, config: TrainConfig, device: torch.device
) -> BatchSource[TokenizedPair, PairBatch]:
    """Batches of pairs for a policy or scorer with this codec, the preferred output first."""

    def rows(records: Sequence[PreferencePair]) -> list[TokenizedPair]:
        check_pairs(records)
        made = [_pair_row(record, codec) for record in records]
        return fitting(made, [row.length for row in made], config, codec.context)

    def make(part: Sequence[TokenizedPair]) -> PairBatch:
        return PairBatch(
            collate([row.chosen for row in part], codec.pad_id, device),
            collate([row.rejected for row in part], codec.pad_id, device),
            torch.tensor([row.preference for row in part], device=device),
            torch.tensor([row.margin for row in part], device=device),
        )

    train = rows(data.train)
    return BatchSource(
        train, [row.length for row in train], make, config, data.processes, rows(data.held_out)
    )


def instructions(data: Data[Prompt], codec: Codec, config: TrainConfig) -> BatchSource[Prompt, PromptBatch]:
    """Batches of prompts for a policy to respond to; held-out prompts likewise."""
    lengths = [len(codec.prompt_ids(prompt)) for prompt in data.train]
    kept = fitting(list(data.train), lengths, config, codec.context)
    lengths = [len(codec.prompt_ids(prompt)) for prompt in kept]
    return BatchSource(
        kept, lengths, lambda part: PromptBatch(list(part)), config, data.processes, data.held_out
    )


def decided(records: Sequence[PreferencePair]) -> list[PreferencePair]:
    """The pairs that are not ties, with output_a the preferred one; says how many were left out."""
    kept = [r for r in records if r.preference != 0.5]
    if len(kept) < len(records):
        logger.warning("left out: %d of %d pairs are ties", len(records) - len(kept), len(records))
    return [
        r
        if r.preference > 0.5
        else replace(r, output_a=r.output_b, output_b=r.output_a, preference=1 - r.preference)
        for r in kept
    ]


def check_pairs(records: Sequence[PreferencePair]) -> None:
    """Raises DataError on a preference outside [0, 1] and on pairs whose outputs are the same text."""
    wrong = next((r for r in records if not 0 <= r.preference <= 1), None)
    if wrong is not None:
        what = f"a preference is {wrong.preference}, expected P(output_a preferred) in [0, 1]"
        raise DataError(
            what, where=_quote(wrong.prompt), remedy="leave failed judgements out of the snapshot"
        )
    same = [r for r in records if r.output_a == r.output_b]
    if same:
        what = (
            f"{len(same)} of {len(records)} pairs have two identical outputs: nothing can be learnt from them"
        )
        raise DataError(what, where=_quote(same[0].prompt), remedy="leave such pairs out of the snapshot")


def fitting(
    rows: list[R], lengths: Sequence[int], config: TrainConfig, context: int | None = None
) -> list[R]:
    """The rows of at most max_length tokens that the model's context holds.

    Raises DataError on others, unless told to drop them.
    """
    limit, where = config.max_length, "max_length"
    remedy = "raise max_length, or leave them out with overlong: drop"
    if context is not None and context < limit:
        limit, where = context, "the model's context"
        remedy = "use a model with a longer context, or leave them out with overlong: drop"
    kept = [row for row, length in zip(rows, lengths, strict=True) if length <= limit]
    if dropped := len(rows) - len(kept):
        longest = f"{limit} tokens; the longest has {max(lengths)}"
        what = f"{dropped} of {len(rows)} rows are longer than {where}, {longest}"
        if config.overlong == "error":
            raise DataError(what, where="max_length", remedy=remedy)
        logger.warning("left out: %s", what)
    return kept


def epoch_order(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Row numbers of each step of an epoch; every row once."""
    shuffler = random.Random(content_hash("order", [seed, epoch]))
    order = list(range(len(lengths)))
    shuffler.shuffle(order)
    steps: list[list[int]] = []
    for at in range(0, len(order), WINDOW * batch_size):
        window = sorted(order[at : at + WINDOW * batch_size], key=lambda i: lengths[i])
        of_window = [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
        shuffler.shuffle(of_window)
        steps.extend(of_window)
    return steps


def split(
    rows: Sequence[int], lengths: Sequence[int], config: TrainConfig, processes: int
) -> list[list[int]]:
    """A step's rows in parts of like length within micro_batch and token_budget, as many for each process."""
    ordered = sorted(rows, key=lambda i: (-lengths[i], i))
    count = max(1, math.ceil(len(ordered) / (config.micro_batch or len(ordered))))
    while True:
        count = math.ceil(count / processes) * processes
        bounds = [len(ordered) * k // count for k in range(count + 1)]
        parts = [ordered[a:b] for a, b in pairwise(bounds)]
        if count > len(ordered):
            what = f"a step has {len(ordered)} rows for {processes} processes"
            remedy = "use fewer processes, or a batch_size that leaves no such rest"
            raise DataError(what, where="batch_size", remedy=remedy)
        widest = max(lengths[part[0]] * len(part) for part in parts)
        budget = config.token_budget or widest
        if widest <= budget or count == len(ordered):
            return parts
        count += 1


def _pair_row(record: PreferencePair, codec: Codec) -> TokenizedPair:
    first, second = codec.row(record.prompt, record.output_a), codec.row(record.prompt, record.output_b)
    if record.preference < 0.5:
        return TokenizedPair(second, first, 1 - record.preference, record.margin)
    return TokenizedPair(first, second, record.preference, record.margin)


def _quote(prompt: Prompt) -> str:
    return f"instruction {prompt.instruction[:60]!r}"
