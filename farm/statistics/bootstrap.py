"""An interval, and the weights of a bootstrap: items resampled with replacement (Efron 1979)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 8_000_000  # weights held at a time
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A value, its 95 % bounds, and the number n of items it rests on; None where undefined."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def text(self, value: str, bounds: str) -> str:
        """The value with its bounds as text; "" without a value. value, bounds: format codes such as .3f."""
        if self.value is None:
            return ""
        if self.low is None or self.high is None:
            return f"{self.value:{value}}"
        return f"{self.value:{value}} [{self.low:{bounds}}, {self.high:{bounds}}]"


def resamplings(items: int, draws: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Weights of bootstrap draws in blocks of (b, items), `draws` rows in all. Each row sums to `items`."""
    rng = np.random.default_rng(seed)
    size = max(1, BLOCK // max(items, 1))
    for start in range(0, draws, size):
        weights = np.empty((min(size, draws - start), items), dtype=np.float32)
        for row in weights:
            row[:] = np.bincount(rng.integers(0, items, items, dtype=np.int32), minlength=items)
        yield weights
