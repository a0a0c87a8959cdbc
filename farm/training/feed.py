"""Records in, batches out: the feeds of methods that learn from data at hand.

Every epoch has every row once, in an order that is a function of (seed, epoch) alone (`curriculum`). Rows
that are left out are counted in the log.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch

from farm.config import TrainConfig
from farm.models.codec import Codec, Row, collate
from farm.models.tokens import Prompt, Tokens
from farm.training.batches import Batch, GroupBatch, JudgedBatch, PairBatch, PromptBatch
from farm.training.curriculum import Curriculum, Shuffled
from farm.training.data import (
    Data,
    DataError,
    Demonstration,
    JudgedOutput,
    OutputGroup,
    PreferencePair,
    check_groups,
    check_judged,
    check_pairs,
    nothing_to_learn,
    turned,
)
from farm.training.method import Feed, OwnDraws
from farm.training.processes import Processes

R = TypeVar("R")
S = TypeVar("S")
M = TypeVar("M", bound="Tokenized")
B = TypeVar("B", bound=Batch)
C = TypeVar("C", bound=Batch)

logger = logging.getLogger(__name__)


class RecordFeed(Generic[R, B]):
    """A feed of records: rows at hand, made into batches when the loop asks for them."""

    rollout_steps = 1

    def __init__(
        self,
        rows: Sequence[R],
        length: Callable[[R], int],
        make: Callable[[Sequence[R]], B],
        config: TrainConfig,
        processes: Processes,
        held_out: Sequence[R] = (),
        curriculum: Curriculum | None = None,
    ) -> None:
        """length: tokens of a row. make: makes a batch of some rows. curriculum: default shuffled epochs.

        Raises DataError if there are no rows.
        """
        if not rows:
            raise nothing_to_learn()
        self.rows, self.length, self.make, self.held_out_rows = rows, length, make, held_out
        self.lengths = [length(row) for row in rows]
        self.config, self.processes = config, processes
        self.curriculum = curriculum or Shuffled(self.lengths, config)
        self.steps_per_epoch = math.ceil(len(rows) / config.batch_size)
        self.steps = math.ceil(config.epochs * self.steps_per_epoch)
        if config.max_steps is not None:
            self.steps = min(self.steps, config.max_steps)

    def batches(self, start: int) -> Iterator[list[B]]:
        """This process's batches of each step, from step `start` on. Raises DataError as `split` does."""
        for step in range(start, math.ceil(self.config.epochs) * self.steps_per_epoch):
            rows = self.curriculum.choose(step)
            parts = split(rows, self.lengths, self.config, self.processes.size)
            mine = parts[self.processes.rank :: self.processes.size]
            yield [self.make([self.rows[i] for i in part]) for part in mine]

    def held_out(self) -> Iterator[B]:
        """The held-out rows in batches within micro_batch and token_budget, in their order.

        They are the same on every process.
        """
        size, budget = self.config.micro_batch or self.config.batch_size, self.config.token_budget
        part: list[R] = []
        widest = 0
        for row in self.held_out_rows:
            length = self.length(row)
            widest = max(widest, length)
            if part and (len(part) == size or (budget and widest * (len(part) + 1) > budget)):
                yield self.make(part)
                part, widest = [], length
            part.append(row)
        if part:
            yield self.make(part)


class PreparedFeed(Generic[B, C]):
    """A feed whose batches get something more when the loop asks for them, such as log-probabilities.

    prepare: called with the batches of a step, returns as many others. together: prepare all held-out batches
    at once as if they were a step, for a loss with a number of the whole step in it; else one by one.
    """

    def __init__(
        self, feed: Feed[B], prepare: Callable[[Sequence[B]], Sequence[C]], together: bool = False
    ) -> None:
        self.steps, self.rollout_steps = feed.steps, feed.rollout_steps
        self.source, self._prepare, self._together = feed, prepare, together

    def batches(self, start: int) -> Iterator[Sequence[C]]:
        """The prepared batches of each step, from step `start` on."""
        return map(self._prepare, self.source.batches(start))

    def held_out(self) -> Iterator[C]:
        """The prepared held-out batches."""
        batches = self.source.held_out()
        for part in [list(batches)] if self._together else ([batch] for batch in batches):
            yield from self._prepare(part) if part else ()


class NumberedFeed(PreparedFeed[B, C]):
    """The same, where `prepare` is told the number of the step too, from 0 on; None: held-out batches.

    draws: what `prepare` draws; None: nothing.
    """

    def __init__(
        self,
        feed: Feed[B],
        prepare: Callable[[int | None, Sequence[B]], Sequence[C]],
        draws: OwnDraws | None = None,
    ) -> None:
        super().__init__(feed, partial(prepare, None))
        self._numbered, self.draws = prepare, draws

    def batches(self, start: int) -> Iterator[Sequence[C]]:
        """The prepared batches of each step, from step `start` on."""
        return (self._numbered(step, found) for step, found in enumerate(self.source.batches(start), start))


class Tokenized(Protocol):
    """What a record becomes: rows of tokens, and what is said of them."""

    @property
    def length(self) -> int:
        """Tokens of the longest row."""
        ...


def fed(
    data: Data[S],
    rows: Callable[[Sequence[S]], list[M]],
    *,
    make: Callable[[Sequence[M]], B],
    codec: Codec,
    config: TrainConfig,
    size: Callable[[M], int] = lambda each: each.length,
) -> RecordFeed[M, B]:
    """A feed of the records that fit.

    rows: what records become. make: makes a batch of some. size: tokens that one costs, its length unless it
    has several rows to be run. Raises DataError as `fitting` does.
    """

    def kept(records: Sequence[S]) -> list[M]:
        made = rows(records)
        return fitting(made, [each.length for each in made], config, codec.context)

    train, held_out = kept(data.train), kept(data.held_out)
    return RecordFeed(train, size, make=make, config=config, processes=data.processes, held_out=held_out)


class TokenizedPair(NamedTuple):
    """A pair as tokens, the preferred output first."""

    chosen: Row
    rejected: Row
    preference: float
    strength: float

    @property
    def length(self) -> int:
        """Tokens of the longer row."""
        return max(self.chosen.length, self.rejected.length)


class TokenizedOutput(NamedTuple):
    """A judged output as tokens."""

    row: Row
    label: float

    @property
    def length(self) -> int:
        """Tokens of the row."""
        return self.row.length


class TokenizedGroup(NamedTuple):
    """A group as tokens."""

    rows: list[Row]
    scores: Sequence[float]

    @property
    def length(self) -> int:
        """Tokens of the longest row."""
        return max(row.length for row in self.rows)


def demonstrations(
    data: Data[Demonstration], codec: Codec, config: TrainConfig, device: torch.device
) -> RecordFeed[Row, Tokens]:
    """Batches of demonstrations for a policy with this codec. Raises DataError as `fitting` does."""

    def rows(records: Sequence[Demonstration]) -> list[Row]:
        return [codec.row(r.prompt, r.output, r.control, ended=r.ended) for r in records]

    def make(part: Sequence[Row]) -> Tokens:
        return collate(part, codec.pad_id, device)

    return fed(data, rows, make=make, codec=codec, config=config)


class PairRows(NamedTuple):
    """The two rows that a pair becomes."""

    chosen: Row
    rejected: Row


def one_each(codec: Codec, pair: PreferencePair) -> PairRows:
    """A row for each output of a pair."""
    return PairRows(codec.row(pair.prompt, pair.output_a), codec.row(pair.prompt, pair.output_b))


def pairs(
    data: Data[PreferencePair],
    codec: Codec,
    config: TrainConfig,
    device: torch.device,
    *,
    rows_of: Callable[[Codec, PreferencePair], PairRows] = one_each,
) -> RecordFeed[TokenizedPair, PairBatch]:
    """Batches of pairs for a policy or scorer with this codec, the preferred output first.

    rows_of: the rows of a pair whose output_a is the preferred one. Raises DataError as `check_pairs` and
    `fitting` do.
    """

    def of_pair(record: PreferencePair) -> TokenizedPair:
        return TokenizedPair(*rows_of(codec, record), record.preference, record.strength)

    def rows(records: Sequence[PreferencePair]) -> list[TokenizedPair]:
        check_pairs(records)
        return [of_pair(turned(record)) for record in records]

    def make(part: Sequence[TokenizedPair]) -> PairBatch:
        return PairBatch(
            collate([row.chosen for row in part], codec.pad_id, device),
            collate([row.rejected for row in part], codec.pad_id, device),
            torch.tensor([row.preference for row in part], device=device),
            torch.tensor([row.strength for row in part], device=device),
        )

    return fed(data, rows, make=make, codec=codec, config=config)


def judged(
    data: Data[JudgedOutput], codec: Codec, config: TrainConfig, device: torch.device
) -> RecordFeed[TokenizedOutput, JudgedBatch]:
    """Batches of judged outputs for a policy or scorer with this codec.

    Raises DataError as `check_judged` and `fitting` do.
    """

    def rows(records: Sequence[JudgedOutput]) -> list[TokenizedOutput]:
        check_judged(records)
        return [TokenizedOutput(codec.row(r.prompt, r.output), r.label) for r in records]

    def make(part: Sequence[TokenizedOutput]) -> JudgedBatch:
        tokens = collate([each.row for each in part], codec.pad_id, device)
        return JudgedBatch(tokens, torch.tensor([each.label for each in part], device=device))

    return fed(data, rows, make=make, codec=codec, config=config)


def groups(
    data: Data[OutputGroup], codec: Codec, config: TrainConfig, device: torch.device
) -> RecordFeed[TokenizedGroup, GroupBatch]:
    """Batches of groups for a policy or scorer with this codec.

    batch_size and micro_batch count groups, token_budget counts the tokens of all their outputs. Raises
    DataError as `check_groups` and `fitting` do.
    """

    def rows(records: Sequence[OutputGroup]) -> list[TokenizedGroup]:
        check_groups(records)
        return [TokenizedGroup([codec.row(r.prompt, text) for text in r.outputs], r.scores) for r in records]

    def make(part: Sequence[TokenizedGroup]) -> GroupBatch:
        owners = [number for number, each in enumerate(part) for _ in each.rows]
        return GroupBatch(
            collate([row for each in part for row in each.rows], codec.pad_id, device),
            torch.tensor([score for each in part for score in each.scores], device=device),
            torch.tensor(owners, device=device),
        )

    def size(each: TokenizedGroup) -> int:
        return each.length * len(each.rows)

    return fed(data, rows, make=make, codec=codec, config=config, size=size)


def instructions(
    data: Data[Prompt],
    codec: Codec,
    config: TrainConfig,
    curriculum: Callable[[Sequence[Prompt]], Curriculum] | None = None,
) -> RecordFeed[Prompt, PromptBatch]:
    """Batches of prompts for a policy to respond to, and of held-out prompts.

    curriculum: called with the prompts that fit. Its row numbers count these prompts. Raises DataError as
    `fitting` does.
    """

    def length(prompt: Prompt) -> int:
        return len(codec.prompt_ids(prompt))

    kept = fitting(list(data.train), [length(prompt) for prompt in data.train], config, codec.context)
    chosen_by = curriculum(kept) if curriculum else None
    return RecordFeed(
        kept,
        length,
        make=lambda part: PromptBatch(list(part)),
        config=config,
        processes=data.processes,
        held_out=data.held_out,
        curriculum=chosen_by,
    )


def fitting(
    rows: list[R], lengths: Sequence[int], config: TrainConfig, context: int | None = None
) -> list[R]:
    """The rows of at most max_length tokens that the model's context holds.

    Longer rows raise DataError. With `overlong: drop` they are left out, with a count in the log.
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


def split(
    rows: Sequence[int], lengths: Sequence[int], config: TrainConfig, processes: int
) -> list[list[int]]:
    """Divide a step's rows into parts of similar length, within micro_batch and token_budget.

    Each process gets as many parts. lengths: tokens of each row. Raises DataError where there are fewer rows
    than parts.
    """
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
