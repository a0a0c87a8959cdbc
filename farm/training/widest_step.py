"""The step of a run that takes most memory, and the tokens of all steps, as far as they are known beforehand.

Rows at hand are known. Of responses that are still to be drawn each is taken to have max_new_tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from farm.config import TrainConfig
from farm.models.codec import Row, collate
from farm.models.forward import PassShape, pass_shape
from farm.models.policy import Policy
from farm.models.scorer import Scorer
from farm.models.tokens import Tokens
from farm.training.batches import rows_in, stacked, tokens_of
from farm.training.feed import RecordFeed, split
from farm.training.fresh_pairs import JudgedDraws
from farm.training.method import Method
from farm.training.on_policy import Draws
from farm.training.rollout import RolloutConfig
from farm.training.rows import parts, widths

SEEN = 2_000  # steps among which the widest is looked for
COUNTED = 256  # rows whose tokens are counted


class StepSizes(NamedTuple):
    """The widest step: the passes that it learns by, and what is drawn for it."""

    passes: list[PassShape]
    prompts: list[int]  # tokens of each prompt of a rollout; empty without one
    rows: int  # responses of a rollout; 0 without one
    tokens: float  # that all steps of the run learn from


def trained_models(method: Method[Any]) -> list[Policy | Scorer]:
    """The policies and scorers that a method trains."""
    return [each for each in method.trained.modules() if isinstance(each, Policy | Scorer)]


def record_feed(feed: Any) -> RecordFeed[Any, Any]:
    """The feed of records at hand that another feed is made of: of rows, or of prompts to draw for."""
    while not isinstance(feed, RecordFeed):
        feed = feed.source
    return feed


def widest_step(method: Method[Any], config: TrainConfig) -> StepSizes:
    """The widest step of a run by these options. Nothing is drawn or learnt."""
    base = trained_models(method)[0].model.base_model
    was_training = method.trained.training
    method.trained.train()  # as in a step: a pass that is computed again shares no prompts
    try:
        if isinstance(method.feed, Draws):
            assert isinstance(config, RolloutConfig)
            return _widest_rollout(method.feed, config, base)
        source = record_feed(method.feed)
        passes = [pass_shape(base, tokens) for tokens in _widest_batches(source, config)]
    finally:
        method.trained.train(was_training)
    seen = source.rows[:: max(1, len(source.rows) // COUNTED)]
    a_unit = sum(int(tokens_of(source.make([row]))) for row in seen) / sum(map(source.length, seen))
    of_epoch = a_unit * sum(source.lengths)
    return StepSizes(passes, [], 0, of_epoch * method.feed.steps / source.steps_per_epoch)


def _starts(source: RecordFeed[Any, Any]) -> range:
    """The steps, or rollouts, that are looked at."""
    return range(min(SEEN, source.steps_per_epoch, source.steps))


def _widest_batches(source: RecordFeed[Any, Any], config: TrainConfig) -> list[Tokens]:
    """The rows of each batch of the step whose widest batch has most tokens, padding included."""
    lengths, processes = source.lengths, source.processes.size

    def divided(step: int) -> list[list[int]]:
        return split(source.curriculum.choose(step), lengths, config, processes)

    widest = max(_starts(source), key=lambda step: max(len(p) * lengths[p[0]] for p in divided(step)))
    return [_all_rows(source.make([source.rows[i] for i in part])) for part in divided(widest)]


def _widest_rollout(feed: Draws[Any], config: RolloutConfig, base: Any) -> StepSizes:
    """The rollout of the longest prompts."""
    source, codec = feed.source, feed.policy.codec

    def asked(step: int) -> Sequence[int]:
        return source.curriculum.choose(step)

    widest = max(_starts(source), key=lambda step: sum(source.lengths[i] for i in asked(step)))
    prompts = [codec.prompt_ids(source.rows[i]) for i in asked(widest)]
    pairs = 2 if isinstance(feed, JudgedDraws) else 1
    rows = [
        Row(prompt, [0] * response_room(len(prompt), config, codec.context))
        for prompt in prompts
        for _ in range(config.n * pairs)
    ]
    tokens = collate(rows, codec.pad_id, feed.policy.device)
    passes = [pass_shape(base, each) for each in _minibatch(tokens, config, pairs)]
    learnt = sum(row.length for row in rows) * config.rollout_epochs * feed.steps / feed.rollout_steps
    return StepSizes(passes, list(map(len, prompts)), len(rows), learnt)


def response_room(prompt: int, config: RolloutConfig, context: int | None) -> int:
    """Tokens that a response to a prompt of so many tokens can have."""
    return int(min(config.max_new_tokens, (context or math.inf) - prompt))


def _minibatch(tokens: Tokens, config: RolloutConfig, together: int) -> list[Tokens]:
    """A minibatch of a rollout in its parts. together: rows that belong to one unit."""
    length = widths(tokens).view(-1, together).amax(-1)
    chosen = torch.randperm(len(length), generator=torch.Generator().manual_seed(0))
    units = chosen.tensor_split(config.minibatches)[0]
    found = parts(length[units], config.micro_batch, config.token_budget)
    places = ((units[part][:, None] * together + torch.arange(together)).flatten() for part in found)
    return [Tokens(tokens.ids[place], tokens.mask[place]) for place in places]


def _all_rows(batch: Any) -> Tokens:
    first, *more = rows_in(batch)
    for each in more:
        first = stacked(first, each)
    return first
