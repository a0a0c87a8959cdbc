"""Are planned studies narrow enough, and not too large? Simulated studies of the size that a pilot planned.

    python benchmarks/plan.py --json benchmarks/results/plan.json [--studies 500]

Each run draws a pilot, plans the labels for a half-width of 2 points in 90 % of studies, draws a study of so
many labels and takes the interval that the commands print. `reached` is the share of runs whose interval is
that narrow. `needed` is the number of labels whose studies are that narrow in 90 %, found by simulation with
the truth known. `overshoot` is how many labels more than that a plan asks for, on average.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from farm.statistics.agreement import agreement_on_equal_footing
from farm.statistics.bootstrap import Interval
from farm.statistics.bradley_terry import bradley_terry
from farm.statistics.judge_choice import choose_judges
from farm.statistics.measures import Measure, intervals, mean_of
from farm.statistics.prediction_powered import prediction_powered_win_rate
from farm.statistics.reliability import LEAST, alpha_scale, coincidences, krippendorff_alpha
from farm.statistics.study_size import SimulatedPilots, alpha_values, gap_values, labels_for, simulate
from farm.statistics.win_rates import win_rate

HALF_WIDTH, ASSURANCE = 0.02, 0.9
RUNS = 200  # simulated pilots of a plan
STEPS = 50  # of labels, in which `needed` is found
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rng = np.random.Generator


class Planned(NamedTuple):
    """n labels, beside these judges."""

    n: int
    judges: tuple[int, ...] = ()


class Case(NamedTuple):
    """A kind of study. plan: from a pilot of so many labels. width: the half-width of a study as planned.

    judges: those beside which `needed` is found.
    """

    name: str
    pilot: int
    plan: Callable[[Rng, int], Planned | None]
    width: Callable[[Rng, Planned], float]
    judges: tuple[int, ...] = ()


class Pool(NamedTuple):
    """Pairs by instruction with what people would say and what J judges said: (T,), (T, J)."""

    clusters: Ints
    truth: Floats
    judges: Floats


def pool(rng: Rng, instructions: int, pairs: int, win: tuple[float, float], right: tuple[float, ...]) -> Pool:
    """win: the parameters of beta from which an instruction's chance of a win is drawn. right: of judges."""
    clusters = np.repeat(np.arange(instructions), pairs)
    truth = (rng.random(len(clusters)) < rng.beta(*win, instructions)[clusters]).astype(float)
    same = rng.random((len(truth), len(right))) < np.array(right)
    return Pool(clusters, truth, np.where(same, truth[:, None], 1 - truth[:, None]))


def some(rng: Rng, truth: Floats, n: int) -> Floats:
    """The labels of n random pairs."""
    labels = np.full(len(truth), np.nan)
    chosen = rng.permutation(len(truth))[:n]
    labels[chosen] = truth[chosen]
    return labels


def planned(pilots: SimulatedPilots, judges: tuple[int, ...] = ()) -> Planned | None:
    n = labels_for(pilots, HALF_WIDTH, ASSURANCE)
    return None if n is None or n > pilots.largest else Planned(n, judges)


def win_rates(
    name: str,
    pilot: int,
    instructions: int,
    pairs: int,
    win: tuple[float, float],
    right: tuple[float, ...] = (),
    best: tuple[int, ...] = (),
) -> Case:
    """A win rate: by people alone, beside a judge, or beside those that are chosen among several."""

    def plan(rng: Rng, n: int) -> Planned | None:
        drawn = pool(rng, instructions, pairs, win, right)
        labels, sizes = some(rng, drawn.truth, n), np.bincount(drawn.clusters).astype(float)
        known = ~np.isnan(labels)
        members, optimism = (0,)[: len(right)], 0.0
        if len(right) > 1:
            centred = [each - each.mean(axis=0) for each in (labels[known], drawn.judges[known])]
            chosen = choose_judges(
                centred[0], centred[1], drawn.clusters[known], np.ones(len(right)), runs=RUNS
            )
            members, optimism = chosen.members, chosen.optimism
        judge = drawn.judges[:, list(members)].mean(axis=1) if members else None
        return planned(
            simulate(labels, drawn.clusters, sizes, judge=judge, optimism=optimism, runs=RUNS), members
        )

    def width(rng: Rng, wanted: Planned) -> float:
        drawn = pool(rng, instructions, pairs, win, right)
        labels = some(rng, drawn.truth, wanted.n)
        known = ~np.isnan(labels)
        if wanted.judges:
            judge = drawn.judges[:, list(wanted.judges)].mean(axis=1)
            return half(prediction_powered_win_rate(labels, judge, drawn.clusters).interval)
        return half(win_rate(labels[known], drawn.clusters[known]).interval)

    return Case(name, pilot, plan, width, best)


def half(interval: Interval) -> float:
    assert interval.low is not None
    assert interval.high is not None
    return (interval.high - interval.low) / 2


def votes(rng: Rng, n: int, people: int, sure: tuple[float, float] = (4.0, 1.0)) -> Ints:
    """Votes (n, 3) of so many people on questions, each of which has its own chance of the right one."""
    right = rng.binomial(people, rng.beta(*sure, n))
    first = rng.random(n) < 0.6
    ahead = np.where(first, right, people - right)
    return np.column_stack([people - ahead, np.zeros(n, int), ahead])


def agreement(name: str, pilot: int) -> Case:
    def scores(rng: Rng, n: int) -> Floats:
        counts = votes(rng, n, 3)
        judge = np.where(rng.random(n) < 0.8, counts[:, 2] > 1, counts[:, 2] < 2).astype(float)
        return agreement_on_equal_footing(judge, counts)

    def plan(rng: Rng, n: int) -> Planned | None:
        return planned(simulate(scores(rng, n), np.arange(n), np.ones(20_000), runs=RUNS))

    def width(rng: Rng, wanted: Planned) -> float:
        n = wanted.n
        return half(intervals({"it": mean_of(np.arange(n), scores(rng, n), n)}, np.arange(n))["it"])

    return Case(name, pilot, plan, width)


def alpha(name: str, pilot: int) -> Case:
    def plan(rng: Rng, n: int) -> Planned | None:
        found = alpha_values(votes(rng, n, 3))
        return planned(simulate(found.values, np.arange(n), np.ones(20_000), rule=found.rule, runs=RUNS))

    def width(rng: Rng, wanted: Planned) -> float:
        n = wanted.n
        sums = coincidences(votes(rng, n, 3))
        measure = Measure(sums, krippendorff_alpha, np.full(n, True), alpha_scale, least=LEAST)
        return half(intervals({"it": measure}, np.arange(n))["it"])

    return Case(name, pilot, plan, width)


def gap(name: str, pilot: int) -> Case:
    """Three models of which each meets each."""
    strengths = np.array([0.5, 0.0, -0.6])

    def games(rng: Rng, n: int) -> pd.DataFrame:
        first = rng.integers(0, 3, n)
        second = (first + rng.integers(1, 3, n)) % 3
        won = rng.random(n) < expit(strengths[first] - strengths[second])
        names = np.array(["a", "b", "c"])
        return pd.DataFrame({"first": names[first], "second": names[second], "preference": won.astype(float)})

    def plan(rng: Rng, n: int) -> Planned | None:
        gaps = gap_values(games(rng, n))
        sure = 1 - (1 - ASSURANCE) / len(gaps)
        pilots = [
            simulate(each.values, np.arange(n), np.ones(50_000), rule=each.rule, runs=RUNS)
            for each in gaps.values()
        ]
        found = [labels_for(each, HALF_WIDTH, sure) for each in pilots]
        return Planned(max(each for each in found if each is not None)) if None not in found else None

    def width(rng: Rng, wanted: Planned) -> float:
        n = wanted.n
        found = bradley_terry(games(rng, n))
        widest = 0.0
        for better, worse in (("a", "b"), ("b", "c")):
            bounds = found.difference(better, worse)
            assert bounds.low is not None
            assert bounds.high is not None
            widest = max(widest, float(expit(bounds.high) - expit(bounds.low)) / 2)
        return widest

    return Case(name, pilot, plan, width)


CASES = (
    win_rates("win rate, people alone", 100, 20_000, 1, (6, 4)),
    win_rates("win rate, one judge", 200, 10_000, 1, (6, 4), (0.8,), (0,)),
    win_rates("win rate, a good judge", 200, 10_000, 1, (6, 4), (0.9,), (0,)),
    win_rates("win rate of 80 %, one judge", 200, 10_000, 1, (8, 2), (0.85,), (0,)),
    win_rates("win rate, five pairs an instruction", 300, 4_000, 5, (3, 2), (0.8,), (0,)),
    win_rates(
        "win rate, some of six judges", 300, 10_000, 1, (6, 4), (0.8, 0.7, 0.65, 0.6, 0.6, 0.55), (0, 1)
    ),
    agreement("agreement with people", 200),
    alpha("alpha of three people", 300),
    gap("gap of three models", 300),
)


def needed(case: Case, studies: int) -> int:
    """The fewest labels whose studies are narrow enough in 90 %; every number sees the same seeds."""

    def reached(place: int) -> float:
        wanted = Planned(STEPS * (place + 1), case.judges)
        widths = [case.width(np.random.default_rng(seed), wanted) for seed in range(studies)]
        return float(np.mean(np.array(widths) <= HALF_WIDTH))

    return STEPS * (1 + bisect_left(range(600), ASSURANCE, key=reached))


class Outcome(NamedTuple):
    """What the studies of a case came to; shares, and numbers of labels."""

    case: str
    pilot: int
    refused: int
    reached: float
    needed: int
    planned: float
    overshoot: float
    within_a_third: float


def measured(case: Case, studies: int) -> Outcome:
    """The case's row of results."""
    plans, widths = [], []
    for seed in range(studies):
        found = case.plan(np.random.default_rng([seed, 1]), case.pilot)
        if found is not None:
            plans.append(found.n)
            widths.append(case.width(np.random.default_rng([seed, 2]), found))
    enough = needed(case, min(studies, 100))
    ratio = np.array(plans) / enough
    return Outcome(
        case=case.name,
        pilot=case.pilot,
        refused=studies - len(plans),
        reached=float(np.mean(np.array(widths) <= HALF_WIDTH)),
        needed=enough,
        planned=float(np.mean(plans)),
        overshoot=float(ratio.mean() - 1),
        within_a_third=float(np.mean(ratio <= 4 / 3)),
    )


def main() -> None:
    """Print a line for each kind of study, and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--only", help="cases whose name has this in it")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for case in CASES:
        if not options.only or options.only in case.name:
            results.append(measured(case, options.studies)._asdict())
            print(results[-1], flush=True)
    if options.json:
        command = shlex.join(["python", "benchmarks/plan.py", *sys.argv[1:]])
        content = {"command": command, "python": platform.python_version(), "studies": options.studies}
        options.json.write_text(json.dumps({**content, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
