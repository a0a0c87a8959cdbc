"""How often a cascade breaks the promise that its thresholds were fitted for, in simulated calibrations.

python benchmarks/promises.py [--calibrations 1000] [--promise 0.85] [--questions 480]

Two judges, the second better, say roughly how often they are right. Thresholds are fitted on one half of the
questions and tested on the other. What they truly do is told by 200,000 more questions. A calibration that
refuses breaks nothing. With clusters of four, the questions of an instruction are equally hard and half of
their errors are shared.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from farm.statistics.selective import OPEN, ConfidentVotes, decided_right, fit_cascade, stages

LARGE = 200_000


class Outcome(NamedTuple):
    """What fitted thresholds truly do: how often they agree with people, and on what share they decide."""

    agreement: float
    coverage: float


def draw(rng: np.random.Generator, items: int, size: int = 1) -> ConfidentVotes:
    """Questions in clusters of `size`, judged by two judges who say roughly how often they are right."""
    groups = items // size
    ease = np.repeat(rng.beta(2, 1, groups), size)
    confidence, chance = np.empty((items, 2)), np.empty((items, 2))
    shared, own = np.repeat(rng.random((groups, 2)), size, axis=0), rng.random((items, 2))
    drawn = np.where(rng.random((items, 1)) < 0.5 * (size > 1), shared, own)
    for judge, skill in enumerate((0.8, 1.1)):
        chance[:, judge] = 0.5 + 0.45 * np.minimum(skill * ease, 1)
        confidence[:, judge] = np.clip(chance[:, judge] + rng.normal(0, 0.06, items), 0.5, 1).round(2)
    return ConfidentVotes(confidence, drawn < chance, np.repeat(np.arange(groups), size))


def calibrations(count: int, promise: float, questions: int, size: int) -> Iterator[Outcome]:
    """The outcomes of the calibrations that found thresholds."""
    world = draw(np.random.default_rng(10**6), LARGE, size)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        fitting, testing = (draw(rng, questions // 2, size) for _ in range(2))
        try:
            found = fit_cascade(fitting, testing, promise=promise, level=0.95)
        except ValueError:
            continue
        stage = stages(world.confidence, found.thresholds)
        yield Outcome(float(decided_right(world, stage).mean()), float((stage != OPEN).mean()))


def main() -> None:
    """Print a line for single questions and one for clusters of four."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--calibrations", type=int, default=1_000)
    options.add_argument("--promise", type=float, default=0.85)
    options.add_argument("--questions", type=int, default=480)
    asked = options.parse_args()
    for size in (1, 4):
        made = list(calibrations(asked.calibrations, asked.promise, asked.questions, size))
        broken = sum(each.agreement < asked.promise for each in made)
        decided = np.mean([each.coverage for each in made]) if made else 0.0
        print(
            f"clusters of {size}: {len(made)} of {asked.calibrations} calibrations found thresholds, "
            f"{broken} of them broke the promise; they decide {decided:.0%} on average"
        )


if __name__ == "__main__":
    main()
