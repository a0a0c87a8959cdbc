"""Measures how often our 95 % intervals contain the truth, in simulated studies whose truth is known.

    python benchmarks/coverage.py --json benchmarks/results/coverage.json [--draws 10000] [--only NAME ...]

A world is a function that draws one study and returns each interval with its truth. Worlds of few labels take
a fifth of the draws (2,000 of 10,000). The Monte Carlo error of a coverage of 95 % is 0.2 points at
10,000 draws and 0.5 at 2,000. coverage_models.py has length control, rankings and curves.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit

from farm.statistics.agreement import agreement_on_equal_footing, votes
from farm.statistics.bootstrap import Interval
from farm.statistics.bradley_terry import bradley_terry
from farm.statistics.label_budget import label_next
from farm.statistics.measures import intervals, mean_of
from farm.statistics.prediction_powered import prediction_powered_win_rate
from farm.statistics.rogan_gladen import rogan_gladen
from farm.statistics.win_rates import win_rate, win_rate_difference

Rng = np.random.Generator
STRENGTHS = np.array([-1.0, -0.5, -0.1, 0.1, 0.5, 1.0])
GRID = np.linspace(-8, 8, 4001)  # points for integrals over the standard normal distribution


class Trial(NamedTuple):
    """An interval and the value that it should contain."""

    truth: float
    interval: Interval


World = Callable[[Rng], list[Trial]]


def normal_mean(values: np.ndarray) -> float:
    """Mean of a function of a standard normal variable. values: the function on GRID."""
    density = np.exp(-(GRID**2) / 2)
    return float((values * density).sum() / density.sum())


def wins(share: float, n: int = 200) -> World:
    """A world of n independent verdicts without ties, with this win rate."""

    def world(rng: Rng) -> list[Trial]:
        return [Trial(share, win_rate((rng.random(n) < share).astype(float)).interval)]

    return world


def ties(rng: Rng) -> list[Trial]:
    """200 verdicts, of which 30 % are ties."""
    return [Trial(0.55, win_rate(rng.choice([0.0, 0.5, 1.0], 200, p=[0.3, 0.3, 0.4])).interval)]


def soft(rng: Rng) -> list[Trial]:
    """200 soft verdicts from Beta(0.4, 1.6)."""
    return [Trial(0.2, win_rate(rng.beta(0.4, 1.6, 200)).interval)]


def clustered(rng: Rng) -> list[Trial]:
    """Four samples for each instruction."""
    chance = np.repeat(rng.beta(2, 3, 200), 4)
    instructions = np.repeat(np.arange(200), 4)
    return [Trial(0.4, win_rate((rng.random(800) < chance).astype(float), instructions).interval)]


def clustered_with_ties(rng: Rng) -> list[Trial]:
    """One to six samples for each instruction; a quarter of the verdicts are ties."""
    sizes = rng.integers(1, 7, 200)
    chance, instructions = np.repeat(rng.beta(2, 3, 200), sizes), np.repeat(np.arange(200), sizes)
    verdict = (rng.random(len(chance)) < chance).astype(float)
    verdict[rng.random(len(chance)) < 0.25] = 0.5
    return [Trial(0.75 * 0.4 + 0.25 * 0.5, win_rate(verdict, instructions).interval)]


def difference(rng: Rng) -> list[Trial]:
    """Two models on the same 300 instructions, which differ in difficulty."""
    ease = rng.normal(0, 1, 300)
    first, second = (pd.Series((rng.random(300) < expit(s + ease)).astype(float)) for s in (0.4, -0.2))
    truth = normal_mean(expit(0.4 + GRID)) - normal_mean(expit(-0.2 + GRID))
    return [Trial(truth, win_rate_difference(first, second).interval)]


def games(rng: Rng) -> pd.DataFrame:
    """200 instructions with three pairs of six models each, with ties.

    The verdicts of one instruction are correlated: half of them share a random number.
    """
    instruction = np.repeat(np.arange(200), 3)
    first = rng.integers(0, 6, 600)
    second = (first + rng.integers(1, 6, 600)) % 6
    mean = expit(STRENGTHS[first] - STRENGTHS[second])
    tie = 0.5 * np.minimum(mean, 1 - mean)
    place = np.where(rng.random(600) < 0.5, rng.random(200)[instruction], rng.random(600))
    verdict = np.where(place < mean - tie / 2, 1.0, np.where(place < mean + tie / 2, 0.5, 0.0))
    names = np.array(list("abcdef"))
    return pd.DataFrame(
        {"first": names[first], "second": names[second], "preference": verdict, "instruction": instruction}
    )


def strength_differences(rng: Rng) -> list[Trial]:
    """Two differences of Bradley-Terry strengths."""
    fit = bradley_terry(games(rng), instruction="instruction")
    return [Trial(2.0, fit.difference("f", "a")), Trial(0.2, fit.difference("d", "c"))]


def rankings(worth: np.ndarray, rng: Rng) -> pd.DataFrame:
    """All pairs of one ranking for each instruction (Plackett-Luce). worth: (instructions, models).

    The pairs of a ranking are one draw: where a is before b and b before c, a is before c.
    """
    place = np.argsort(np.argsort(-(worth + rng.gumbel(size=worth.shape)), axis=1), axis=1)
    first, second = np.triu_indices(worth.shape[1], 1)
    before = (place[:, first] < place[:, second]).astype(float).ravel()
    names, instructions = np.array(list("abcdefghij")), np.arange(len(worth))
    return pd.DataFrame(
        {
            "first": np.tile(names[first], len(worth)),
            "second": np.tile(names[second], len(worth)),
            "preference": before,
            "instruction": np.repeat(instructions, len(first)),
        }
    )


def ranked_win_rate(rng: Rng) -> list[Trial]:
    """The win rate of one of four models over the three others, of 200 rankings. Instructions differ."""
    means = np.array([0.8, 0.2, 0.0, -0.4])
    rows = rankings(means + rng.normal(0, 1, (200, 4)), rng)
    mine = rows[rows["first"] == "a"]
    truth = float(np.mean([normal_mean(expit(0.8 - other + np.sqrt(2) * GRID)) for other in means[1:]]))
    verdicts, instructions = mine["preference"].to_numpy(), mine["instruction"].to_numpy()
    return [Trial(truth, win_rate(verdicts, instructions).interval)]


def ranked_strengths(rng: Rng) -> list[Trial]:
    """A difference of Bradley-Terry strengths, of 200 rankings of four models."""
    rows = rankings(np.tile([0.8, 0.2, 0.0, -0.4], (200, 1)), rng)
    return [Trial(0.8, bradley_terry(rows, instruction="instruction").difference("a", "c"))]


def ranked_agreement(rng: Rng) -> list[Trial]:
    """How often two annotators agree who both rank the same four outputs to 200 instructions."""
    worth = rng.normal(0, 1, (200, 4))
    one, other = (rankings(worth, rng)["preference"].to_numpy() for _ in range(2))
    measure = mean_of(np.arange(1200), (one == other).astype(float), 1200)
    found = intervals({"agreement": measure}, np.repeat(np.arange(200), 6))["agreement"]
    chance = expit(np.sqrt(2) * GRID)  # both rank i before j with this chance
    return [Trial(normal_mean(chance**2 + (1 - chance) ** 2), found)]


def people_and_judge(rng: Rng, ease: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Human verdicts with ties, and soft verdicts of a judge that correlates with them weakly."""
    place = rng.random(len(ease)) - 0.25 * np.tanh(ease)
    human = np.where(place < 0.4, 1.0, np.where(place < 0.6, 0.5, 0.0))
    judge = np.clip(0.25 + 0.5 * human + 0.1 * np.tanh(ease) + rng.normal(0, 0.25, len(ease)), 0, 1)
    return human, judge


def human_mean() -> float:
    """The expected human verdict in `people_and_judge`."""
    shift = 0.25 * np.tanh(GRID)
    chance = [np.clip(edge + shift, 0, 1) for edge in (0.4, 0.6)]
    return normal_mean(chance[0] + 0.5 * (chance[1] - chance[0]))


def prediction_powered(rng: Rng) -> list[Trial]:
    """2,000 pairs, of which people judge 200."""
    human, judge = people_and_judge(rng, rng.normal(0, 1, 2000))
    human[200:] = np.nan
    result = prediction_powered_win_rate(human, judge)
    return [Trial(human_mean(), result.interval)]


def prediction_powered_clustered(rng: Rng) -> list[Trial]:
    """Three pairs for each of 400 instructions; people judge 300 of the 1,200 pairs."""
    instructions = np.repeat(np.arange(400), 3)
    human, judge = people_and_judge(rng, rng.normal(0, 1, 400)[instructions])
    human[rng.permutation(1200)[300:]] = np.nan
    return [Trial(human_mean(), prediction_powered_win_rate(human, judge, instructions).interval)]


def prediction_powered_by_doubt(rng: Rng) -> list[Trial]:
    """1,500 pairs, of which people judge about 250 that `label_next` draws."""
    human, judge = people_and_judge(rng, rng.normal(0, 1, 1500))
    chosen = label_next(judge, 250, seed=int(rng.integers(2**31)))
    human[~chosen["chosen"].to_numpy()] = np.nan
    result = prediction_powered_win_rate(human, judge, inclusion=chosen["inclusion"].to_numpy())
    return [Trial(human_mean(), result.interval)]


def corrected(rng: Rng) -> list[Trial]:
    """Rogan-Gladen with sensitivity 0.85, specificity 0.75, and 200 calibration pairs of 1,000."""
    human = (rng.random(1000) < 0.4).astype(float)
    judge = (rng.random(1000) < np.where(human == 1, 0.85, 0.25)).astype(float)
    human[200:] = np.nan
    return [Trial(0.4, rogan_gladen(human, judge).interval)]


def few_labels(rate: float, n: int, pairs: int, corrected: bool) -> World:
    """A world of 1,000 pairs, of which people label n at random; a judge is right on 80 %.

    rate: the win rate. pairs: of each instruction; they go together (correlation 1/3). corrected: Rogan and
    Gladen's interval, else the prediction-powered one. A refused study gives no trial.
    """
    instructions = np.repeat(np.arange(1000 // pairs), pairs)

    def world(rng: Rng) -> list[Trial]:
        chance = rng.beta(2 * rate, 2 - 2 * rate, 1000 // pairs) if pairs > 1 else np.full(1000, rate)
        human = (rng.random(1000) < chance[instructions]).astype(float)
        judge = np.where(rng.random(1000) < 0.8, human, 1 - human)
        human[rng.permutation(1000)[n:]] = np.nan
        estimate = rogan_gladen if corrected else prediction_powered_win_rate
        try:
            return [Trial(rate, estimate(human, judge, instructions).interval)]
        except ValueError:
            return []

    return world


def agreement(rng: Rng) -> list[Trial]:
    """A judge who is right in 75 %, and three people who are right in 80 %."""
    items, people = 250, 3
    truth = rng.integers(0, 2, items)
    voted = np.where(rng.random((items, people)) < 0.8, truth[:, None], 1 - truth[:, None]) * 2
    counts = votes(np.repeat(np.arange(items), people), voted.ravel(), items)
    judge = np.where(rng.random(items) < 0.75, truth, 1 - truth).astype(float)
    measure = mean_of(np.arange(items), agreement_on_equal_footing(judge, counts), items)
    found = intervals({"agreement": measure}, np.arange(items))["agreement"]
    # Two people remain to compare with: both are right .64, one .32 (a tie of modes scores 1/2), none .04.
    return [Trial(0.75 * (0.64 + 0.16) + 0.25 * (0.04 + 0.16), found)]


ANALYTIC: dict[str, World] = {
    "win rate, 50 %": wins(0.5),
    "win rate, 80 %": wins(0.8),
    "win rate, 95 %": wins(0.95, 400),
    "win rate, ties": ties,
    "win rate, soft verdicts": soft,
    "win rate, clustered": clustered,
    "win rate, clustered with ties": clustered_with_ties,
    "win rate difference, paired": difference,
    "Bradley-Terry difference": strength_differences,
    "win rate, rankings of four": ranked_win_rate,
    "Bradley-Terry difference, rankings of four": ranked_strengths,
    "agreement, rankings of four": ranked_agreement,
    "prediction-powered": prediction_powered,
    "prediction-powered, clustered": prediction_powered_clustered,
    "prediction-powered, chosen by doubt": prediction_powered_by_doubt,
    "Rogan-Gladen": corrected,
    "agreement": agreement,
}
FEW_LABELS: dict[str, World] = {
    f"{name}, {n} labels, {rate:.0%}, {pairs} pairs an instruction": few_labels(
        rate, n, pairs, corrected=corrected
    )
    for name, corrected in (("prediction-powered", False), ("Rogan-Gladen", True))
    for n in (10, 20, 50, 200)
    for rate in (0.6, 0.9)
    for pairs in (1, 5, 20)
}
"""Few labels. Below 50 the intervals are wider than they need be: they cover 95 to 100 %."""


class Coverage(NamedTuple):
    """What was found for one world."""

    share: float  # of intervals that contain the truth
    width: float  # mean
    trials: int


def coverage(world: World, draws: int, seed: int = 0) -> Coverage:
    """The coverage of a world's intervals over `draws` studies. A missing bound counts as a miss."""
    rng = np.random.default_rng(seed)
    held, width = [], []
    for _ in range(draws):
        for truth, interval in world(rng):
            low, high = interval.low, interval.high
            held.append(low is not None and high is not None and low <= truth <= high)
            width.append(np.nan if low is None or high is None else high - low)
    return Coverage(float(np.mean(held)), float(np.mean(width)), len(held))


def main() -> None:
    """Measure the worlds that the options name, and print and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--only", nargs="*", help="names of worlds")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for name, world in (ANALYTIC | FEW_LABELS).items():
        if options.only and name not in options.only:
            continue
        draws = options.draws if name in ANALYTIC else options.draws // 5
        start = time.perf_counter()
        found = coverage(world, draws)
        seconds = time.perf_counter() - start
        print(
            f"{name:40s} {100 * found.share:6.2f} %  width {found.width:.4f}  {draws:6d} in {seconds:5.1f} s",
            flush=True,
        )
        results.append({"world": name, "draws": draws, "coverage": found.share, "width": found.width})
    if options.json:
        command = "python benchmarks/coverage.py --json benchmarks/results/coverage.json"
        content = {"command": command, "python": platform.python_version(), "results": results}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
