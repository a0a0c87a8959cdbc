"""Measures whether every policy method learns: gold win rates against the supervised model, over seeds.

    python benchmarks/learns.py FOLDER --json benchmarks/results/learns.json
    python benchmarks/learns.py FOLDER --further benchmarks/objectives.yaml --alone
    python benchmarks/learns.py FOLDER --further benchmarks/lists.yaml --alone --draws 4
    python benchmarks/learns.py FOLDER --further benchmarks/own_outputs.yaml --alone --seeds 0

FOLDER has the studies of benchmarks/quickstart.py; those that are missing are made. Methods that the
quickstart leaves out are trained from the same supervised model, with the reward model of people's
preferences. With --alone nothing else is: the world, its supervised model and people's preferences are made,
and the methods of --further are trained on them, with a reward model of them where one asks for it. Teachers
and policies that rate tokens are the one that dpo made. With --draws people judge all pairs of so many
outputs, of as many instructions as give as many judgements.

The gold utility judges one output to each evaluation instruction against a second draw of the supervised
model. The options of the recipe were chosen in simulation on the validation split (benchmarks/recipe.py).
Intervals are Student's 95 % intervals over seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import comb
from pathlib import Path
from typing import get_args

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.quickstart import over_seeds, said
from benchmarks.scales import measured
from db.ledger import Ledger, PairFilter
from db.queries.outputs import Source
from farm.methods import load
from farm.options.quickstart import ScaleName
from farm.pair import PairTask, pair
from farm.quickstart import DRAWS, QuickstartTask, Say, Stages, quickstart
from farm.sample import SampleTask
from farm.snapshot import Choice, snapshot
from farm.statistics.win_rates import win_rates
from farm.studies.results import PEOPLE
from farm.studies.validation import (
    BASELINE,
    SFT,
    Study,
    against_baseline,
    from_pairs,
    method_step,
    reward_step,
)
from farm.studies.work import Step, run, workers
from farm.training.checkpoint import MODEL, whole_checkpoints
from farm.world.build import set_name
from farm.world.people import GOLD, judge_by_gold, people

LEARNS = "learns"  # the source of the pairs
LISTS = "lists"  # the source of pairs of several outputs to an instruction, and who drew them
PREFERENCE_SET = set_name("preference")
FROM_DPO = {"teacher", "token_reward"}  # needs for which the policy that dpo made stands
FURTHER = Path(__file__).parent / "further.yaml"


def said_at_once(line: str) -> None:
    print(line, flush=True)


def learned(
    folder: Path,
    scale: ScaleName,
    seed: int,
    further: Mapping[str, Mapping[str, object]],
    alone: bool = False,
    draws: int = 2,
    processes: int | None = None,
) -> dict[str, float]:
    """Gold win rate of every method that was trained on people's feedback, and of the supervised model.

    further: options of the methods that the quickstart leaves out. alone: leave out those of the quickstart.
    draws: outputs to an instruction of which people judge all pairs; other than 2 only with `alone`.
    """
    task, feedback = QuickstartTask(folder, scale, seed), PEOPLE if draws == 2 else LISTS
    folder.mkdir(parents=True, exist_ok=True)
    if not alone and not (folder / "study.json").exists():
        quickstart(task, said_at_once)
    with Ledger.open(folder / "farm.db", create=True) as ledger, workers(processes) as pool:
        say: Say = said_at_once if alone else lambda line: None
        stages = Stages(task, ledger, pool, say, measured(scale) if alone else None)
        study = stages.make_study()
        own = [] if alone else list(study.recipe.methods)
        if alone:
            stages.sample_and_pair(study)
            stages.ask_people()
            judge_lists(stages, study, draws)
            snapshot(ledger, feedback, Choice(stages.people.trains, LISTS if draws > 2 else study.pairs))
        study = replace(study, recipe=replace(study.recipe, methods={**study.recipe.methods, **further}))
        if alone and not all(map(from_pairs, further)):
            done = pool.begin(partial(run, reward_step(study, feedback))).result()
            print(f"{done.name}: {done.seconds:.0f} s", flush=True)
        for later in (False, True):
            methods = [method for method in further if bool(FROM_DPO & set(load(method).needs)) == later]
            steps = [further_step(study, feedback, method) for method in methods]
            for done in pool.each([partial(run, step) for step in steps]):
                print(f"{done.name}: {done.seconds:.0f} s", flush=True)
        producers = [SFT, *(f"{feedback}/{method}" for method in (*own, *further))]
        for producer in producers:
            pair(ledger, PairTask(LEARNS, (Source(producer),), study.evaluation, Source(BASELINE)))
        judge_by_gold(ledger, PairFilter(source=LEARNS))
        found = against_baseline(ledger, LEARNS)
    rates = win_rates(found[found["judge"] == GOLD.name], by="producer")
    return {name.removeprefix(f"{feedback}/"): rates[name].value for name in producers}


def further_step(study: Study, feedback: str, method: str) -> Step:
    """The step of a method with the models that it asks for."""
    step, trainer = method_step(study, feedback, method), load(method)
    if from_pairs(method) or step.train is None:
        return step
    made = whole_checkpoints(study.folder / feedback / "dpo")

    def asked(need: str) -> str | None:
        return str(made[-1] / MODEL) if need in trainer.needs else None

    task = replace(
        step.train,
        set_name=set_name("sft") if trainer.data_kind == "demonstrations" else step.train.set_name,
        reward=step.train.reward if {"reward", "judge"} & set(trainer.needs) else None,
        teacher=asked("teacher"),
        token_reward=asked("token_reward"),
    )
    return replace(step, train=task)


def judge_lists(stages: Stages, study: Study, draws: int) -> None:
    """People judge all pairs of so many outputs, one person each, of the first instructions for it."""
    if draws == 2:
        return
    pairs = pair(stages.ledger, PairTask(study.pairs, (Source(DRAWS),), PREFERENCE_SET)).pairs
    limit, seed = pairs // comb(draws, 2), stages.task.seed
    drawn = SampleTask(PREFERENCE_SET, LISTS, draws, limit=limit, decoding=study.decoding, seed=seed)
    run(Step(LISTS, study.ledger, samples=(drawn,), model=study.sft))
    pair(stages.ledger, PairTask(LISTS, (Source(LISTS),), PREFERENCE_SET, how="all"))
    people(stages.ledger, stages.world, PairFilter(source=LISTS), 1)


def main() -> None:
    """Measure the seeds that the options name, and print and write the win rates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", choices=get_args(ScaleName), default="small")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--further", type=Path, default=FURTHER)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--processes", type=int)
    given = parser.parse_args()
    further = yaml.safe_load(given.further.read_text(encoding="utf-8"))
    of_seed = partial(
        learned, further=further, alone=given.alone, draws=given.draws, processes=given.processes
    )
    found = [of_seed(given.folder / f"{given.scale}-{seed}", given.scale, seed) for seed in given.seeds]
    rates = {method: over_seeds([each[method] for each in found]) for method in found[0]}
    gains = {method: over_seeds([each[method] - each[SFT] for each in found]) for method in found[0]}
    for method in sorted(rates, key=lambda name: -rates[name]["mean"]):
        print(f"{method:28} {said(rates[method], 100):22} over {SFT} {said(gains[method], 100)}")
    if given.json:
        made = {"seeds": given.seeds, "win_rates": rates, "over_sft": gains, "by_seed": found}
        given.json.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
