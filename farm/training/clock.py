"""Where the seconds of a step go: pushing weights to a server, drawing, rating, judging, learning.

`fit` starts a clock. `spent` adds to it, wherever it is called from; outside `fit` it does nothing. Rating
goes on while a judge of pairs is asked. Then both count.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Literal

import torch

StepPart = Literal["pushing", "drawing", "rating", "judging", "learning"]


class Clock:
    """Seconds by part of a step, since they were last read."""

    def __init__(self) -> None:
        self.seconds: dict[StepPart, float] = {}

    def read(self) -> dict[StepPart, float]:
        """The seconds of each part that there has been so far in the run, and a new start from 0."""
        found, self.seconds = self.seconds, dict.fromkeys(self.seconds, 0.0)
        return found


_CLOCK: ContextVar[Clock | None] = ContextVar("clock", default=None)


@contextmanager
def ticking() -> Iterator[Clock]:
    """In the block `spent` adds to the clock that is given."""
    clock = Clock()
    before = _CLOCK.set(clock)
    try:
        yield clock
    finally:
        _CLOCK.reset(before)


@contextmanager
def spent(part: StepPart) -> Iterator[None]:
    """Count the seconds of the block to a part, what a GPU has still to do for it included.

    The loop does not wait for its GPU: learning ends when the step of the optimizer is in its queue.
    """
    clock, start = _CLOCK.get(), monotonic()
    yield
    if clock is not None:
        if part != "learning" and torch.cuda.is_initialized():
            torch.cuda.synchronize()
        clock.seconds[part] = clock.seconds.get(part, 0.0) + monotonic() - start
