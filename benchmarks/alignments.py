"""How often an alignment accepts a candidate, where no rule helps and where one does.

python benchmarks/alignments.py [--runs 2000]

People agree with the judge on 65 % of the pairs. Each candidate has other verdicts on a share of the pairs.
On those people agree with it as often as with the judge (no rule helps), or more often (a rule helps). The
best of the candidates on the validation side is tested once, as `farm annotators align` does. One person
judges each pair. With instructions of four pairs, half of the draws of an instruction are the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from farm.aligning.verdicts import compared
from farm.statistics.bounds import answer

LEVEL = 0.95
AGREED = 0.65  # how often people agree with the judge


class World(NamedTuple):
    """candidates: how many. changed: the share of the pairs on which a candidate has another verdict. gain:
    by how much more people agree with the first candidate. pairs: of the validation side and of the test
    side. size: pairs of an instruction."""

    candidates: int = 4
    changed: float = 0.3
    gain: float = 0.0
    pairs: int = 100
    size: int = 1


WORLDS = {
    "no rule helps": World(),
    "no rule helps, 20 candidates": World(candidates=20),
    "no rule helps, few verdicts change": World(changed=0.05),
    "no rule helps, 400 pairs a side": World(pairs=400),
    "no rule helps, instructions of 4 pairs": World(size=4, pairs=200),
    "a rule gains 0.05, 400 pairs a side": World(gain=0.05, pairs=400),
    "a rule gains 0.1, 100 pairs a side": World(gain=0.1),
    "a rule gains 0.1, 400 pairs a side": World(gain=0.1, pairs=400),
    "a rule gains 0.2, 100 pairs a side": World(gain=0.2),
}


def side(rng: np.random.Generator, world: World) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """The pairs of one side with people's votes, and the verdicts of the judge and of each candidate.

    A changed verdict is the other output: where people agreed they now do not. So on the changed pairs people
    agree with the judge on (1 - gain / changed) / 2 of them, and with the candidate on the rest.
    """
    groups = np.arange(world.pairs) // world.size
    count = int(groups.max()) + 1

    def shares() -> np.ndarray:
        """Uniform draws; of pairs of one instruction half are the same."""
        own = rng.random(world.pairs)
        return np.where((rng.random(world.pairs) < 0.5) & (world.size > 1), rng.random(count)[groups], own)

    right = shares() < AGREED
    mean = rng.integers(0, 2, world.pairs).astype(float)
    judge = np.where(right, mean, 1 - mean)
    verdicts = [judge]
    for number in range(world.candidates):
        gain = world.gain if number == 0 else 0.0
        wrong = (world.changed + gain) / 2 / (1 - AGREED)  # of the judge's errors so many are mended
        lost = (world.changed - gain) / 2 / AGREED
        change = shares() < np.where(right, lost, wrong)
        verdicts.append(np.where(change, 1 - judge, judge))
    return pd.DataFrame({"mean": mean, "instruction": groups.astype(str)}), verdicts


def alignments(world: World, runs: int, seed: int = 0) -> Iterator[bool]:
    """Whether each run accepts its best candidate."""
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        rows, (judge, *mine) = side(rng, world)
        gains = [compared(rows, judge, each, LEVEL).gain.value or 0.0 for each in mine]
        best = int(np.argmax(gains))
        if gains[best] <= 0:
            yield False
            continue
        rows, (judge, *mine) = side(rng, world)
        yield answer(compared(rows, judge, mine[best], LEVEL).gain) == "yes"


def main() -> None:
    """Print a line for each world."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=2_000)
    runs = options.parse_args().runs
    for name, world in WORLDS.items():
        print(f"{name}: {np.mean(list(alignments(world, runs))):.1%} of {runs} runs accept a candidate")


if __name__ == "__main__":
    main()
