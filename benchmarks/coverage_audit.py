"""Measures how often the audit's 95 % bounds contain the truth, from few questions and near 1.

    python benchmarks/coverage_audit.py --json benchmarks/results/coverage_audit.json [--draws 1000]

Three people and a judge are right with the same chance on an instruction. With clusters an instruction has
four pairs and a chance of its own, drawn from a beta distribution with the mean p. Else it has one pair and
the chance p. The truth is the figure on 200,000 questions. Studies whose bounds are refused count apart.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from farm.statistics.agreement import VALUES, Ints, leave_one_out, votes
from farm.statistics.bootstrap import Interval
from farm.statistics.measures import Measure, intervals, ratio
from farm.statistics.profile import JudgementColumns, Reference, Units, against_reference
from farm.statistics.reliability import LEAST, alpha_scale, coincidences, krippendorff_alpha, pair_agreement

SIZES = (5, 10, 20, 50, 200)
CHANCES = (0.7, 0.9, 0.97, 1.0)
PEOPLE, PAIRS, MANY = 3, 4, 200_000
FIGURES = (
    "agreement",
    "accuracy",
    "over_longest",
    "over_people",
    "kappa",
    "alpha",
    "pairwise",
    "people's alpha",
)


class Held(NamedTuple):
    """The share of bounds that hold the truth, that of studies without bounds, and the mean width of bounds.

    coverage and width are None where all studies are without bounds.
    """

    coverage: float | None
    refused: float
    width: float | None


class Study(NamedTuple):
    """The figures of one simulated study, with the instruction of each question."""

    measures: dict[str, Measure]
    instruction: Ints


def study(rng: np.random.Generator, instructions: int, chance: float, clustered: bool) -> Study:
    """Draw the questions of so many instructions, and what three people and a judge say of them."""
    per = PAIRS if clustered else 1
    n = instructions * per
    of = np.repeat(np.arange(instructions), per)
    own = (
        rng.beta(4 * chance, 4 * (1 - chance), instructions)
        if clustered and chance < 1
        else np.full(instructions, chance)
    )
    truth = rng.integers(0, 2, n) * 2
    said = [np.where(rng.random(n) < own[of], truth, 2 - truth) for _ in range(PEOPLE + 1)]
    place = np.arange(n)
    counts = votes(np.tile(place, PEOPLE), np.concatenate(said[:PEOPLE]), n)
    with_each_other = np.mean([leave_one_out(VALUES[each], counts) for each in said[:PEOPLE]], axis=0)
    lengths = np.stack([rng.integers(1, 3, n), np.full(n, 2)], axis=1)
    units = Units(
        length=lengths, list=np.zeros((n, 2), bool), identical=np.zeros(n, bool), pair=place, instruction=of
    )
    judged = JudgementColumns(place, VALUES[said[-1]], np.full(n, -1), np.zeros(n, np.int64))
    found = against_reference(
        judged, Reference(counts, None, with_each_other), units, unreadable_is_wrong=True
    )
    everyone = np.ones(n, bool)
    found |= {
        "pairwise": Measure(pair_agreement(counts), ratio, everyone),
        "people's alpha": Measure(
            coincidences(counts), krippendorff_alpha, everyone, alpha_scale, least=LEAST
        ),
    }
    return Study({name: found[name] for name in FIGURES}, of)


def coverage(size: int, chance: float, clustered: bool, draws: int) -> dict[str, Held]:
    """For each figure, how often its bounds hold the truth."""
    rng = np.random.default_rng([size, int(100 * chance), clustered])
    large = study(np.random.default_rng(1), MANY // (PAIRS if clustered else 1), chance, clustered).measures
    truth = {name: float(each.statistic(each.sums.sum(axis=0))) for name, each in large.items()}
    told: dict[str, list[Interval]] = defaultdict(list)
    for _ in range(draws):
        drawn = study(rng, size, chance, clustered)
        for name, found in intervals(drawn.measures, drawn.instruction).items():
            told[name].append(found)
    return {name: _held(found, truth[name]) for name, found in told.items()}


def _held(found: list[Interval], truth: float) -> Held:
    bounds = [(each.low, each.high) for each in found if each.low is not None and each.high is not None]
    held = [low - 1e-9 <= truth <= high + 1e-9 for low, high in bounds]
    return Held(
        coverage=float(np.mean(held)) if held else None,
        refused=1 - len(bounds) / len(found),
        width=float(np.mean([high - low for low, high in bounds])) if bounds else None,
    )


def _cell(found: Held) -> str:
    held = "-" if found.coverage is None else f"{100 * found.coverage:.1f}"
    return f"{held:>9s} ({100 * found.refused:3.0f})"


def main() -> None:
    """Measure every size and chance, and print and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=1_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    print(f"{'':24s}" + "".join(f"{name:>16s}" for name in FIGURES))
    for clustered in (False, True):
        for chance in CHANCES:
            for size in SIZES:
                found = coverage(size, chance, clustered, options.draws)
                print(
                    f"{'clusters' if clustered else 'single':8s} p {chance:.2f} n {size:3d}  "
                    + " ".join(_cell(each) for each in found.values()),
                    flush=True,
                )
                figures = {name: each._asdict() for name, each in found.items()}
                results.append({"clustered": clustered, "chance": chance, "n": size, "figures": figures})
    if options.json:
        out = "benchmarks/results/coverage_audit.json"
        command = f"python benchmarks/coverage_audit.py --draws {options.draws} --json {out}"
        content = {
            "command": command,
            "python": platform.python_version(),
            "draws": options.draws,
            "results": results,
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
