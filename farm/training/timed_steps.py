"""The time of a run, from a few of its steps on a copy of which nothing is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from farm.config import TrainConfig
from farm.training.feed import RecordFeed
from farm.training.fresh_pairs import JudgedDraws
from farm.training.loop import fit
from farm.training.method import Method
from farm.training.on_policy import Draws
from farm.training.widest_step import record_feed, response_room

STEPS, ROLLOUTS = 4, 2  # that are timed at most; the first of them warms up
SECONDS = 60.0  # after which no further step, or rollout, is timed
FORWARD = 1 / 3  # of the work of a step: its backward pass is twice the work of the forward pass


@dataclass(frozen=True)
class TimePlan:
    """Seconds of a run. start: to load the models and warm up. steps: of all steps. evaluation: of held-out
    rows. timed: how many steps were timed. Writing checkpoints is not in it.
    """

    start: float
    steps: float
    evaluation: float
    timed: int

    @property
    def total(self) -> float:
        """Seconds from the loading of the models to the end of training."""
        return self.start + self.steps + self.evaluation


class _Enough(Exception):
    """As many steps were timed as are wanted."""


class StepTimer:
    """Notes when each step ends, in the place of a run's checkpoints, and ends the run early."""

    latest = "none, for a dry run keeps nothing"

    def __init__(self, rollout_steps: int) -> None:
        self.ends: list[float] = []
        self.unit = rollout_steps
        self.most = STEPS if rollout_steps == 1 else ROLLOUTS * rollout_steps

    def restore(self, *_: object) -> int:
        """Note the time and begin at step 0."""
        self.ends.append(time.monotonic())
        return 0

    def due(self, step: int) -> bool:
        """Note the time; no checkpoint is due."""
        self.ends.append(time.monotonic())
        if step % self.unit == 0 and (step >= self.most or self.ends[-1] - self.ends[0] > SECONDS):
            raise _Enough
        return False

    def save(self, *_: object) -> None:
        """Save nothing."""

    @property
    def seconds(self) -> list[float]:
        """Seconds of each step, or of each rollout with all its steps."""
        marks = self.ends[:: self.unit]
        return [after - before for before, after in pairwise(marks if len(marks) > 1 else self.ends)]


def timed(method: Method[Any], config: TrainConfig, loading: float) -> TimePlan:
    """The time that a run will take. The method has learnt from the steps and must not be used again.

    loading: seconds that the models took to load.
    """
    feed, timer = method.feed, StepTimer(method.feed.rollout_steps)
    with suppress(_Enough):
        fit(method, replace(config, save_every=None, eval_every=None), lambda *_: None, timer)
    source, seconds = record_feed(feed), timer.seconds
    work = _work(feed, source, config)
    units = [sum(work[i] for i in source.curriculum.choose(k)) for k in range(len(seconds))]
    warm = slice(len(seconds) > 1, None)
    rate = sum(seconds[warm]) / sum(units[warm])
    rounds = math.ceil(feed.steps / feed.rollout_steps)
    return TimePlan(
        start=loading + max(0.0, seconds[0] - rate * units[0]),
        steps=rate * sum(work) * rounds / source.steps_per_epoch,
        evaluation=rate * _evaluated(feed, source, config),
        timed=len(timer.ends) - 1,
    )


def _work(feed: Any, source: RecordFeed[Any, Any], config: TrainConfig) -> Sequence[int]:
    """What time is in proportion to: tokens of each row, or of each prompt with its longest response."""
    if not isinstance(feed, Draws):
        return source.lengths
    context = feed.policy.codec.context
    return [each + response_room(each, feed.config, context) for each in source.lengths]


def _evaluated(feed: Any, source: RecordFeed[Any, Any], config: TrainConfig) -> float:
    """The work of all evaluations, in the unit of `_work`. Held-out rows get a forward pass alone."""
    times = 1 + (feed.steps - 1) // config.eval_every if config.eval_every else 1
    if isinstance(feed, JudgedDraws):
        return 0.0
    if isinstance(feed, Draws):
        room = feed.config.max_new_tokens
        return float(times * sum(source.length(each) + room for each in feed.held_out_prompts))
    return times * FORWARD * sum(map(source.length, source.held_out_rows))
