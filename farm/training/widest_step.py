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
from farm.training.method import Method, OwnDraws
from farm.training.on_policy import Draws
from farm.training.own_draws import prompt_ids
from farm.training.rollout import DrawingConfig, RolloutConfig
from farm.training.rows import parts, widths

SEEN = 2_000  # steps among which the widest is looked for
COUNTED = 256  # rows whose tokens are counted


class StepSizes(NamedTuple):
    """The widest step: the passes that it learns by, and what is drawn for it."""

    passes: list[PassShape]
    prompts: list[int]  # tokens of each prompt that is drawn for at once; empty where nothing is drawn
    rows: int  # responses that are drawn to them
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
        source, draws = record_feed(method.feed), getattr(method.feed, "draws", None)
        batches = _widest_batches(source, config)
        passes, prompts = [pass_shape(base, _all_rows(batch)) for batch in batches], []
        if draws:
            assert isinstance(config, DrawingConfig)
            own = [_own_rows(method, batch, draws.n, config) for batch in batches]
            drawn = [pass_shape(base, rows) for rows in own]
            passes = list(map(_together, passes, drawn)) if draws.beside else passes + drawn
            prompts = max((list(map(len, prompt_ids(next(rows_in(each))))) for each in batches), key=sum)
    finally:
        method.trained.train(was_training)
    seen = source.rows[:: max(1, len(source.rows) // COUNTED)]
    a_unit = sum(_learnt(method, source.make([row]), draws, config) for row in seen)
    of_epoch = a_unit * sum(source.lengths) / sum(map(source.length, seen))
    rows = len(prompts) * draws.n if draws else 0
    return StepSizes(passes, prompts, rows, of_epoch * method.feed.steps / source.steps_per_epoch)


def _own_rows(method: Method[Any], batch: Any, n: int, config: DrawingConfig) -> Tokens:
    """The longest responses that can be drawn to the prompts of a batch, n to each."""
    return _longest(trained_models(method)[0], prompt_ids(next(rows_in(batch))), n, config)


def _longest(policy: Any, prompts: Sequence[list[int]], n: int, config: DrawingConfig) -> Tokens:
    codec = policy.codec
    rooms = [response_room(len(prompt), config, codec.context) for prompt in prompts]
    rows = [Row(prompt, [0] * room) for prompt, room in zip(prompts, rooms, strict=True) for _ in range(n)]
    return collate(rows, codec.pad_id, policy.device)


def _together(one: PassShape, other: PassShape) -> PassShape:
    """Both passes of one loss, which keeps what both need for the backward pass."""
    return PassShape(
        tokens=one.tokens + other.tokens,
        attended=one.attended + other.attended,
        targets=one.targets + other.targets,
        masked=one.masked or other.masked,
        again=None if one.again is other.again is None else (one.again or 0) + (other.again or 0),
    )


def _learnt(method: Method[Any], batch: Any, draws: OwnDraws | None, config: TrainConfig) -> float:
    """Tokens that are learnt from where a batch is at hand."""
    at_hand = float(tokens_of(batch))
    if draws is None:
        return at_hand
    assert isinstance(config, DrawingConfig)
    own = draws.share * float(tokens_of(_own_rows(method, batch, draws.n, config)))
    return own + (1 if draws.beside else 1 - draws.share) * at_hand


def _starts(source: RecordFeed[Any, Any]) -> range:
    """The steps, or rollouts, that are looked at."""
    return range(min(SEEN, source.steps_per_epoch, source.steps))


def _widest_batches(source: RecordFeed[Any, Any], config: TrainConfig) -> list[Any]:
    """The batches of the step whose widest batch has most tokens, padding included."""
    lengths, processes = source.lengths, source.processes.size

    def divided(step: int) -> list[list[int]]:
        return split(source.curriculum.choose(step), lengths, config, processes)

    widest = max(_starts(source), key=lambda step: max(len(p) * lengths[p[0]] for p in divided(step)))
    return [source.make([source.rows[i] for i in part]) for part in divided(widest)]


def _widest_rollout(feed: Draws[Any], config: RolloutConfig, base: Any) -> StepSizes:
    """The rollout of the longest prompts."""
    source, codec = feed.source, feed.policy.codec

    def asked(step: int) -> Sequence[int]:
        return source.curriculum.choose(step)

    widest = max(_starts(source), key=lambda step: sum(source.lengths[i] for i in asked(step)))
    prompts = [codec.prompt_ids(source.rows[i]) for i in asked(widest)]
    pairs = 2 if isinstance(feed, JudgedDraws) else 1
    tokens = _longest(feed.policy, prompts, config.n * pairs, config)
    passes = [pass_shape(base, each) for each in _minibatch(tokens, config, pairs)]
    learnt = float(tokens_of(tokens)) * config.rollout_epochs * feed.steps / feed.rollout_steps
    return StepSizes(passes, list(map(len, prompts)), len(tokens.ids), learnt)


def response_room(prompt: int, config: DrawingConfig, context: int | None) -> int:
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
