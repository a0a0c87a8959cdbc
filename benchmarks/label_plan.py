"""Is a plan of labels kept? The half-widths that come out of simulated pools, beside the range of the plan.

    python benchmarks/label_plan.py --json benchmarks/results/label_plan.json [--pools 200]

A pool has instructions with pairs that go together: the chance of a win is drawn for each instruction from a
beta distribution. The judge is right on four pairs of five. The pilot is the beginning of the random order in
which people label.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from farm.statistics.label_budget import labels_needed
from farm.statistics.prediction_powered import prediction_powered_win_rate

RIGHT = 0.8


class Case(NamedTuple):
    """A kind of pool. wins, losses: the parameters of beta. pilot: labels. wanted: the half-width."""

    instructions: int
    pairs: int
    wins: float
    losses: float
    pilot: int
    wanted: float


CASES = (
    Case(100, 20, wins=1.2, losses=0.8, pilot=50, wanted=0.06),
    Case(100, 20, wins=1.2, losses=0.8, pilot=50, wanted=0.08),
    Case(100, 20, wins=1.2, losses=0.8, pilot=50, wanted=0.1),
    Case(100, 20, wins=1.2, losses=0.8, pilot=200, wanted=0.06),
    Case(100, 20, wins=3, losses=2, pilot=50, wanted=0.06),
    Case(100, 20, wins=12, losses=8, pilot=50, wanted=0.06),
    Case(400, 5, wins=1.2, losses=0.8, pilot=50, wanted=0.06),
    Case(2000, 1, wins=1.2, losses=0.8, pilot=50, wanted=0.06),
    Case(2000, 1, wins=7.2, losses=1.8, pilot=50, wanted=0.06),
    Case(60, 5, wins=1.2, losses=0.8, pilot=20, wanted=0.12),
    Case(20, 20, wins=1.2, losses=0.8, pilot=50, wanted=0.15),
)


class Outcome(NamedTuple):
    """The plan's range, and the half-width that came out."""

    low: float
    high: float
    half_width: float


def outcome(case: Case, seed: int) -> Outcome | None:
    """Plan and label one pool; None where the plan is refused."""
    rng = np.random.default_rng(seed)
    instructions = np.repeat(np.arange(case.instructions), case.pairs)
    chance = rng.beta(case.wins, case.losses, case.instructions)[instructions]
    truth = (rng.random(len(chance)) < chance).astype(float)
    judge = np.where(rng.random(len(chance)) < RIGHT, truth, 1 - truth)
    place = np.argsort(rng.permutation(len(truth)))
    try:
        pilot = np.where(place < case.pilot, truth, np.nan)
        plan = labels_needed(case.wanted, pilot, judge, instructions)
        labels = np.where(place < plan.n, truth, np.nan)
        found = prediction_powered_win_rate(labels, judge, instructions).interval
    except ValueError:
        return None
    assert found.low is not None
    assert found.high is not None
    return Outcome(plan.low, plan.high, (found.high - found.low) / 2)


def main() -> None:
    """Print a line for each kind of pool, and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pools", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for case in CASES:
        made = [each for each in (outcome(case, seed) for seed in range(options.pools)) if each]
        low, high, width = np.array(made).T
        kept, refused = float(np.mean((low <= width) & (width <= high))), options.pools - len(made)
        print(f"{case}: refused {refused}, in the range {kept:.1%}, mean {width.mean():.3f}", flush=True)
        found = {"refused": refused, "in_the_range": kept, "half_width": float(width.mean())}
        results.append({**case._asdict(), **found})
    if options.json:
        command = shlex.join(["python", "benchmarks/label_plan.py", *sys.argv[1:]])
        content = {"command": command, "python": platform.python_version(), "pools": options.pools}
        options.json.write_text(json.dumps(content | {"results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
