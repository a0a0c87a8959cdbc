"""The order of learning: which rows a step learns from, or which prompts a rollout is drawn for."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Protocol

from db.ids import content_hash
from farm.config import TrainConfig


class Curriculum(Protocol):
    """Chooses the rows of each step, or of each rollout.

    A choice must be a function of (seed, step, state), and state must be in the `trained` module's buffers:
    then a resumed run chooses as an uninterrupted one does.
    """

    def choose(self, step: int) -> Sequence[int]:
        """Row numbers of the step, counted from 0; the same on every process."""
        ...


class Shuffled:
    """Every row once in each epoch, in an order that is a function of (seed, epoch).

    A step has `batch_size` rows, the last one of an epoch perhaps fewer.
    """

    def __init__(self, lengths: Sequence[int], config: TrainConfig) -> None:
        """lengths: tokens of each row."""
        self.lengths, self.config = lengths, config
        self.steps_per_epoch = math.ceil(len(lengths) / config.batch_size)
        self._epoch, self._order = -1, list[list[int]]()

    def choose(self, step: int) -> list[int]:
        """Row numbers of a step, counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            config = self.config
            self._order = epoch_order(
                self.lengths, config.batch_size, config.length_window, seed=config.seed, epoch=epoch
            )
            self._epoch = epoch
        return self._order[place]


def epoch_order(
    lengths: Sequence[int], batch_size: int, window: int, *, seed: int, epoch: int
) -> list[list[int]]:
    """Row numbers of each step of an epoch; every row once.

    Rows are shuffled and dealt into windows of `window` steps. The rows of a window are sorted by length and
    cut into its steps, which are shuffled. In a window of one step the sorting moves no row to another step,
    so the rows of a step are drawn at random.
    """
    shuffler = random.Random(content_hash("order", [seed, epoch]))
    order = list(range(len(lengths)))
    shuffler.shuffle(order)
    steps: list[list[int]] = []
    for at in range(0, len(order), window * batch_size):
        rows = sorted(order[at : at + window * batch_size], key=lambda i: lengths[i])
        of_window = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        shuffler.shuffle(of_window)
        steps.extend(of_window)
    return steps
