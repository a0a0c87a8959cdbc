"""Chooses a recipe's options as one would with a sandbox: in simulation, on the validation split.

    python benchmarks/recipe.py benchmarks/recipe_small.yaml FOLDER --json benchmarks/results/recipe.json

The quickstart's world with its feedback is made in FOLDER. Every candidate of the grid is trained on the
simulators' preferences and answers the validation instructions. Simulators judge each output twice against a
second draw of the supervised model. A candidate reward model is judged by the outputs that it chooses, each
the best of 16. Evaluation instructions, people and the gold utility are not used. A run that was interrupted
goes on where it stopped.

The grid is a YAML file. It lists candidates by method: options that replace those of the scale's recipe, or
those of the file that --further names. --chosen writes the best options of each method as such a file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import yaml

from db.ledger import Ledger, PairFilter
from db.queries.outputs import Source
from farm.options.quickstart import ScaleName
from farm.pair import PairTask, pair
from farm.quickstart import CROWD, QuickstartTask, Stages, judging
from farm.snapshot import Choice, snapshot
from farm.statistics.win_rates import win_rates
from farm.studies.recipe import BEST_OF_N
from farm.studies.results import SIMULATORS
from farm.studies.validation import REWARD_MODEL, Study, against_baseline, method_step, reward_step
from farm.studies.work import Step, run, workers
from farm.world.build import set_name

CHOICE = "choice"  # the source of the pairs, and the first part of every producer's name
BASELINE = f"{CHOICE}/baseline"
REPLICATES = 2


@dataclass(frozen=True)
class Candidate:
    """A method, and options that replace the recipe's."""

    method: str
    options: Mapping[str, object]

    @property
    def name(self) -> str:
        """The name of the candidate's outputs: method and options."""
        said = " ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{CHOICE}/{self.method}/{said or 'as it is'}"


def candidates(path: Path) -> list[Candidate]:
    """The candidates of a grid. Each method comes first with the recipe's own options."""
    grid = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [Candidate(method, each) for method, those in grid.items() for each in ({}, *(those or ()))]


def attempt(study: Study, candidate: Candidate) -> tuple[Candidate, float]:
    """Train a candidate and sample from it. Returns the candidate and the seconds that it took."""
    recipe, folder = study.recipe, study.folder / candidate.name.replace(" ", "_")
    seconds, method = 0.0, candidate.method
    if method == REWARD_MODEL:
        recipe = replace(recipe, reward_model={**recipe.reward_model, **candidate.options})
        study, method = replace(study, recipe=recipe, folder=folder), BEST_OF_N
        seconds = run(reward_step(study, SIMULATORS)).seconds
    else:
        options = {**recipe.methods[method], **candidate.options}
        study = replace(study, recipe=replace(recipe, methods={method: options}))
    step = method_step(study, SIMULATORS, method)
    train = step.train and replace(step.train, folder=folder)
    samples = tuple(replace(each, producer=candidate.name) for each in step.samples)
    return candidate, seconds + run(replace(step, train=train, samples=samples)).seconds


def choose(
    grid: Path, folder: Path, scale: ScaleName, seed: int, processes: int, further: Path | None = None
) -> list[dict[str, Any]]:
    """Every candidate with its win rate on the validation split, by method and then best first.

    further: a file with the options of methods in place of the recipe's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with Ledger.open(folder / "farm.db", create=True) as ledger, workers(processes) as pool:
        stages = Stages(QuickstartTask(folder, scale, seed), ledger, pool, print)
        study = stages.make_study()
        stages.sample_and_pair(study)
        with judging(seed) as provider:
            stages.ask_simulators(provider)
        snapshot(ledger, SIMULATORS, Choice(stages.simulators.trains, study.pairs))
        study = replace(study, evaluation=set_name("validation"))
        if further is not None:
            methods = yaml.safe_load(further.read_text(encoding="utf-8"))
            study = replace(study, recipe=replace(study.recipe, methods=methods))
        run(Step(BASELINE, study.ledger, samples=(study.sampled(BASELINE, seed + 1),), model=study.sft))
        run(reward_step(study, SIMULATORS))
        tried = candidates(grid)
        for candidate, seconds in pool.each([partial(attempt, study, each) for each in tried]):
            print(f"{candidate.name}: {seconds:.0f} s", flush=True)
        for each in tried:
            pair(ledger, PairTask(CHOICE, (Source(each.name),), study.evaluation, Source(BASELINE)))
        with judging(seed) as provider:
            stages.ask(CROWD, PairFilter(source=CHOICE), provider, REPLICATES)
        rates = win_rates(against_baseline(ledger, CHOICE, BASELINE), by="producer")
    own = {REWARD_MODEL: study.recipe.reward_model, **study.recipe.methods}
    found = sorted(tried, key=lambda each: (each.method, -rates[each.name].value))
    return [
        {
            "candidate": each.name,
            "win_rate": rates[each.name].value,
            "standard_error": rates[each.name].standard_error,
            "method": each.method,
            "options": {**own[each.method], **each.options},
        }
        for each in found
    ]


def best(found: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The options of the first candidate of each method, in a list that has the best first."""
    options: dict[str, Any] = {}
    for each in found:
        options.setdefault(each["method"], each["options"])
    return options


def main() -> None:
    """Try the candidates of the grid, and print and write their win rates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("grid", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", choices=get_args(ScaleName), default="small")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--further", type=Path)
    parser.add_argument("--chosen", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = choose(
        given.grid,
        given.folder,
        given.scale,
        seed=given.seed,
        processes=given.processes,
        further=given.further,
    )
    for each in found:
        print("{win_rate:.3f} +- {standard_error:.3f}  {candidate}".format(**each))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if given.chosen:
        given.chosen.write_text(yaml.safe_dump(best(found), sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main()
