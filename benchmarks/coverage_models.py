"""Measures how often the 95 % bounds of models' figures contain the truth, from few instructions on.

    python benchmarks/coverage_models.py --json benchmarks/results/coverage_models.json [--draws 200]
        [--only NAME ...] [--sizes N ...]

A world draws one study of n instructions (of n models, for a correlation over models) whose truth is known,
and gives each figure with its truth. Where a figure or its bounds are refused, the study counts apart.
Clusters are instructions with several judgements that go together. Bootstraps have 200 draws. Formulas have
ten times the studies, length control five times. The Monte Carlo error of a coverage of 95 % is 1.5 points
with 200 studies, 0.7 with 1,000 and 0.5 with 2,000. Length control has C = 1: another C moves the value, and
a bound only where the value is outside.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import spearmanr

from farm.over_optimisation import curves
from farm.statistics.bootstrap import Interval
from farm.statistics.bradley_terry import bradley_terry
from farm.statistics.difficulty import Difficulty
from farm.statistics.length_control import controlled_win_rate
from farm.statistics.ranking import CorrelationKind, rank_correlation
from farm.statistics.win_rates import win_rate, win_rate_difference

Rng = np.random.Generator
METHODS: dict[str, CorrelationKind] = {"Spearman": "spearman", "Kendall": "kendall"}
SIZES = (5, 10, 20, 50, 200)
PAIRS = 4  # judgements of one instruction, in a cluster
DRAWS = 200  # of a bootstrap
LARGE = 50_000  # instructions of a study that shows the truth
MANY = 50  # models; Kendall's tau of more, resampled, takes minutes
GRID = np.linspace(-8, 8, 4001)  # points for integrals over the standard normal distribution


class Trial(NamedTuple):
    """A figure's bounds, None where they are refused, and the value that they should contain."""

    truth: float
    interval: Interval | None


World = Callable[[Rng, int], dict[str, Trial]]


def normal_mean(values: np.ndarray) -> float:
    """Mean of a function of a standard normal variable. values: the function on GRID."""
    density = np.exp(-(GRID**2) / 2)
    return float((values * density).sum() / density.sum())


def win_rates_of(share: float, pairs: int) -> World:
    """Verdicts without ties. With several pairs an instruction they share a chance (correlation 1/3)."""

    def world(rng: Rng, n: int) -> dict[str, Trial]:
        chance = rng.beta(2 * share, 2 - 2 * share, n) if pairs > 1 else np.full(n, share)
        instructions = np.repeat(np.arange(n), pairs)
        verdicts = (rng.random(n * pairs) < chance[instructions]).astype(float)
        return {"win rate": Trial(share, win_rate(verdicts, instructions).interval)}

    return world


def differences_of(first: float, second: float) -> World:
    """Two models with these log-odds on the same instructions, which differ in difficulty."""
    truth = normal_mean(expit(first + GRID)) - normal_mean(expit(second + GRID))

    def world(rng: Rng, n: int) -> dict[str, Trial]:
        ease = rng.normal(0, 1, n)
        one, other = (pd.Series((rng.random(n) < expit(s + ease)).astype(float)) for s in (first, second))
        return {"difference": Trial(truth, win_rate_difference(one, other).interval)}

    return world


def strengths_of(strengths: np.ndarray, pairs: int) -> World:
    """Games of random models. With several an instruction, half of its verdicts share a random number."""
    names = np.array(list("abcdefgh"))[: len(strengths)]
    truth = float(strengths[1] - strengths[0]), float(strengths[0] - strengths.mean())

    def world(rng: Rng, n: int) -> dict[str, Trial]:
        instruction = np.repeat(np.arange(n), pairs)
        first = rng.integers(0, len(names), n * pairs)
        second = (first + rng.integers(1, len(names), n * pairs)) % len(names)
        place = np.where(rng.random(n * pairs) < 0.5, rng.random(n)[instruction], rng.random(n * pairs))
        verdict = (place < expit(strengths[first] - strengths[second])).astype(float)
        columns = {"first": names[first], "second": names[second], "preference": verdict}
        try:
            fit = bradley_terry(
                pd.DataFrame(columns | {"instruction": instruction}), instruction="instruction"
            )
            found = fit.difference("b", "a"), fit.interval("a")
        except ValueError:
            return {"difference": Trial(truth[0], None), "strength": Trial(truth[1], None)}
        return {"difference": Trial(truth[0], found[0]), "strength": Trial(truth[1], found[1])}

    return world


def controlled_of(own: float, easy: float, pairs: int = 1, known: bool = True, soft: bool = False) -> World:
    """A judge that favours length.

    own: log-odds of the model. easy: weight of the difficulty, 0 for none. known: the fit is given the
    difficulties; else they only make the judgements of an instruction go together. soft: preferences are
    numbers around the chance (from a beta distribution), not verdicts.
    """

    def study(rng: Rng, n: int) -> tuple[pd.DataFrame, Difficulty | None]:
        ease, instruction = rng.normal(0, 1, n), np.repeat(np.arange(n), pairs)
        longer = rng.normal(-0.5, 1, n * pairs)
        chance = expit(own + easy * ease[instruction] - np.tanh(longer / longer.std(ddof=1)))
        said = rng.beta(4 * chance, 4 - 4 * chance) if soft else rng.random(n * pairs) < chance
        frame = pd.DataFrame({"instruction": instruction, "preference": said.astype(float), "length": longer})
        return frame, Difficulty(pd.Series(ease), "known") if easy and known else None

    @cache
    def truth() -> float:
        if known:
            return normal_mean(expit(own + easy * GRID))
        large, _ = study(np.random.default_rng(1), LARGE)
        return controlled_win_rate(large, strength=1.0).value

    def world(rng: Rng, n: int) -> dict[str, Trial]:
        frame, difficulty = study(rng, n)
        try:
            found = controlled_win_rate(frame, difficulty=difficulty, strength=1.0).interval
        except (ValueError, ArithmeticError):
            found = None
        return {"controlled": Trial(truth(), found)}

    return world


def correlations_over_models(levels: int) -> World:
    """Scores of n models by two evaluators, correlated .7. levels: how many scores there are; 0: none tie."""

    def scores(rng: Rng, n: int) -> np.ndarray:
        both = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], n)
        return np.clip(np.floor(both * levels / 4), -levels / 2, levels / 2 - 1) if levels else both

    large = scores(np.random.default_rng(0), 400_000)
    truth = {"Spearman": float(spearmanr(large).statistic)}
    if not levels:
        truth = {"Spearman": 6 / np.pi * np.arcsin(0.35), "Kendall": 2 / np.pi * np.arcsin(0.7)}

    def world(rng: Rng, n: int) -> dict[str, Trial]:
        first, second = (pd.Series(column) for column in scores(rng, n).T)
        seed = int(rng.integers(2**31))
        found = {}
        for name, value in truth.items():
            if name == "Kendall" and n > MANY:
                continue
            try:
                over = rank_correlation(first, second, METHODS[name], draws=DRAWS, seed=seed).over_models
            except ValueError:
                over = None
            found[name] = Trial(value, over)
        return found

    return world


def correlations_over_instructions(models: int, tied: bool) -> World:
    """Verdicts of two judges on n instructions, who rank the models alike but for two neighbours.

    tied: a third of the verdicts are ties, and two models are equally good by both judges. There are two
    truths: what as many instructions show on average, and what infinitely many would.
    """
    one = np.linspace(0.25, 0.75, models)
    other = one.copy()
    other[[1, 2]] = other[[2, 1]]
    if tied:
        one[-1], other[-1] = one[-2], other[-2]
    truth = float(spearmanr(one, other).statistic)

    def table(rng: Rng, chance: np.ndarray, ease: np.ndarray) -> pd.DataFrame:
        verdicts = (rng.random((len(ease), models)) < chance + ease[:, None]).astype(float)
        if tied:
            verdicts[rng.random(verdicts.shape) < 1 / 3] = 0.5
        return pd.DataFrame(verdicts)

    def tables(rng: Rng, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        ease = rng.choice([-0.2, 0.2], n)
        return table(rng, one, ease), table(rng, other, ease)

    @cache
    def on_average(n: int) -> float:
        drawn = (tables(rng, n) for rng in np.random.default_rng(0).spawn(500))
        return float(
            np.nanmean([spearmanr(x.mean().round(9), y.mean().round(9)).statistic for x, y in drawn])
        )

    def world(rng: Rng, n: int) -> dict[str, Trial]:
        first, second = tables(rng, n)
        seed = int(rng.integers(2**31))
        try:
            over = rank_correlation(first, second, draws=DRAWS, seed=seed).over_instructions
        except ValueError:
            over = None
        return {"of as many": Trial(on_average(n), over), "of all": Trial(truth, over)}

    return world


def drops_of(gold: np.ndarray, share: bool) -> World:
    """A curve of five points with these means; the truth is the change from the point chosen as peak.

    share: verdicts, else utilities with a variance of 1, half of it the instruction's. A curve that ends
    at its peak has no drop.
    """
    levels = 2.0 ** np.arange(len(gold))

    def world(rng: Rng, n: int) -> dict[str, Trial]:
        if share:
            ease = rng.choice([-0.1, 0.1], (n, 1))
            seen = (rng.random((n, len(gold))) < gold + ease).astype(float)
        else:
            seen = gold + rng.normal(0, 0.5**0.5, (n, 1)) + rng.normal(0, 0.5**0.5, (n, len(gold)))
        columns = {"instruction": np.repeat(np.arange(n), len(gold)), "level": np.tile(levels, n)}
        [curve] = curves(pd.DataFrame(columns | {"gold": seen.ravel(), "curve": "c"}), share=share)
        if curve.peak == len(gold) - 1:
            return {}
        return {"drop": Trial(float(gold[-1] - gold[curve.peak]), curve.drop)}

    return world


NEAR, FAR, SIX = np.array([-0.4, 0.0, 0.4]), np.array([-1.75, 0.0, 1.75]), np.linspace(-1, 1, 6)
BENT, FLAT = np.array([0.0, 0.2, 0.3, 0.2, 0.1]), np.zeros(5)
FORMULAS: dict[str, World] = {
    "win rate, 60 %": win_rates_of(0.6, 1),
    "win rate, 97 %": win_rates_of(0.97, 1),
    "win rate, 60 %, clusters": win_rates_of(0.6, PAIRS),
    "difference of win rates, 10 points": differences_of(0.5, 0.0),
    "difference of win rates, near 1": differences_of(4.0, 3.0),
}
CONTROLLED: dict[str, World] = {
    "length control, 50 %, difficulties": controlled_of(0.0, 1.0),
    "length control, 70 %, difficulties": controlled_of(1.0, 1.0),
    "length control, 73 %": controlled_of(1.0, 0.0),
    "length control, 73 %, soft preferences": controlled_of(1.0, 0.0, soft=True),
    "length control, 88 %": controlled_of(2.0, 0.0),
    "length control, 95 %": controlled_of(3.0, 0.0),
    "length control, 97 %, difficulties": controlled_of(4.0, 1.0),
    "length control, 61 %, clusters": controlled_of(0.5, 0.8, PAIRS),
    "length control, 59 %, clusters, difficulties not known": controlled_of(0.5, 1.5, PAIRS, known=False),
}
WORLDS: dict[str, World] = {
    **FORMULAS,
    "Bradley-Terry, 3 near": strengths_of(NEAR, 1),
    "Bradley-Terry, 3 near, clusters": strengths_of(NEAR, PAIRS),
    "Bradley-Terry, 3 far, clusters": strengths_of(FAR, PAIRS),
    "Bradley-Terry, 6, clusters": strengths_of(SIX, PAIRS),
    **CONTROLLED,
    "over models": correlations_over_models(0),
    "over models, ties": correlations_over_models(6),
    "over instructions, 5 models": correlations_over_instructions(5, tied=False),
    "over instructions, 10 models": correlations_over_instructions(10, tied=False),
    "over instructions, 10 models, ties": correlations_over_instructions(10, tied=True),
    "curve that bends, utilities": drops_of(BENT, share=False),
    "flat curve, utilities": drops_of(FLAT, share=False),
    "curve that bends, win rates": drops_of(BENT + 0.4, share=True),
    "flat curve, win rates": drops_of(FLAT + 0.5, share=True),
}


class Coverage(NamedTuple):
    """What was found of one figure."""

    share: float | None  # of bounds that contain the truth; None where all were refused
    refused: float  # share of studies
    width: float | None  # mean
    trials: int


def coverage(world: World, size: int, draws: int) -> dict[str, Coverage]:
    """The coverage of each figure of a world over so many studies of this size."""
    rng, told = np.random.default_rng(size), defaultdict(list)
    for _ in range(draws):
        for name, trial in world(rng, size).items():
            told[name].append(trial)
    return {name: _of(trials) for name, trials in told.items()}


def _of(trials: list[Trial]) -> Coverage:
    bounds = [
        (trial.truth, trial.interval.low, trial.interval.high)
        for trial in trials
        if trial.interval is not None and trial.interval.low is not None and trial.interval.high is not None
    ]
    held = [low - 1e-9 <= truth <= high + 1e-9 for truth, low, high in bounds]
    return Coverage(
        share=float(np.mean(held)) if held else None,
        refused=1 - len(bounds) / len(trials),
        width=float(np.mean([high - low for _, low, high in bounds])) if bounds else None,
        trials=len(trials),
    )


def studies(name: str, draws: int) -> int:
    """How many studies of a world: ten times as many of a formula, five times of length control."""
    return draws * (10 if name in FORMULAS else 5 if name in CONTROLLED else 1)


def main() -> None:
    """Measure the worlds that the options name at every size, and print and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--only", nargs="*", help="names of worlds", default=[])
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for name, world in WORLDS.items():
        if options.only and name not in options.only:
            continue
        start = time.process_time()
        for size in options.sizes:
            for figure, found in coverage(world, size, studies(name, options.draws)).items():
                held = "-" if found.share is None else f"{100 * found.share:.1f} %"
                print(
                    f"{name:55s} {figure:10s} n {size:3d}  {held:>7s}  "
                    f"refused {100 * found.refused:3.0f} %  of {found.trials}",
                    flush=True,
                )
                results.append({"world": name, "figure": figure, "n": size, **found._asdict()})
        print(f"{name}: {time.process_time() - start:.1f} s", flush=True)
    if options.json:
        command = shlex.join(["python", "benchmarks/coverage_models.py", *sys.argv[1:]])
        content = {"command": command, "python": platform.python_version(), "results": results}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
