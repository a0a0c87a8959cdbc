"""AlpacaFarm's whole argument in the embedded world, from nothing to a report: `farm quickstart`.

World, supervised fine-tuning, sampling, pairs, people and simulated judges, audit, reward models, methods on
both kinds of feedback, evaluation by both, ranking agreement, over-optimisation, report. Each step finds what
an earlier call did, so an interrupted study goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter

from annotators.simulator import Simulator
from db.errors import ConfigError
from db.ledger import Ledger, PairFilter
from db.outputs import Source
from db.training import instructed
from farm.annotate import Provider, Task, annotate
from farm.pair import PairTask, pair
from farm.report import ReportOptions, report
from farm.sample import SampleTask
from farm.studies.over_optimisation import CurveTask, best_of_n_curves
from farm.studies.recipe import Recipe, options_of
from farm.studies.results import PEOPLE, SIMULATORS, CurvePoint, StudyResults
from farm.studies.validation import (
    BASELINE,
    EVALUATION,
    SFT,
    Feedback,
    Study,
    judged,
    meet,
    rank_agreement,
    reward_model_of,
    train_all,
)
from farm.studies.work import Step, Workers, run, workers
from farm.train import TrainTask
from farm.world.build import PAPER, SMALL, Sizes, WorldSpec, build, set_name
from farm.world.crowd import crowd
from farm.world.judges import QUIET_MODEL, world_simulator_config
from farm.world.people import GOLD, judge_by_gold, people

Say = Callable[[str], None]
DRAWS = "sft-draws"
TRUTH = Feedback("gold", (), (GOLD.name,))
PREFERENCES, CROSSED = "preferences", "crossed"  # one person a pair; several, for agreement
NOISY, QUIET, STRONG = "crowd", "crowd-quiet", "judge"  # of the catalogue


@dataclass(frozen=True)
class Scale:
    """How large a study is. crossed: people to a pair where agreement is measured; jury: to one evaluated."""

    sizes: Sizes
    recipe: str
    crossed: int = 4
    jury: int = 3
    curve_samples: int = 64
    curve_instructions: int = 150


SCALES = {"small": Scale(SMALL, "small.yaml"), "paper": Scale(PAPER, "paper.yaml", curve_samples=256)}


@dataclass(frozen=True)
class QuickstartTask:
    """What to do. out: the folder of everything, the ledger included."""

    out: Path
    scale: str = "small"
    seed: int = 0
    processes: int | None = None

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ConfigError(f"--scale is {self.scale!r}", remedy=f"one of {', '.join(SCALES)}")


@dataclass(frozen=True)
class Quickstart:
    """What came of it."""

    ledger: Path
    report: Path
    results: StudyResults


class _Study:
    """One quickstart under way: what its steps share."""

    def __init__(self, task: QuickstartTask, ledger: Ledger, pool: Workers, say: Say) -> None:
        self.task, self.ledger, self.pool, self.say = task, ledger, pool, say
        self.scale = SCALES[task.scale]
        self.world = WorldSpec(seed=task.seed, sizes=self.scale.sizes)
        self.recipe = Recipe.read(Path(__file__).parent / self.scale.recipe)
        names = tuple(person.name for person in crowd(task.seed))
        self.people = Feedback(PEOPLE, names, names)
        self.simulators = Feedback(SIMULATORS, (NOISY,), (QUIET,))
        self.quiet = Feedback("quiet", (STRONG,), ())

    def supervised(self) -> Study:
        """The world and the SFT model."""
        from farm.world.language import base_model

        made = build(self.ledger, self.world)
        self.say(f"world: {sum(made.instructions.values()):,} instructions, {made.demonstrations:,} answers")
        folder = self.task.out / "runs"
        train = TrainTask(str(base_model()), folder / SFT, set_name=set_name("sft"))
        options = {**options_of(self.recipe.sft), "seed": str(self.task.seed)}
        address = str(self.ledger.address)
        [done] = self.pool.each([partial(run, Step(SFT, address, "sft", options, train))])
        self.say(f"sft: {done.seconds:.0f} s")
        unlabelled, evaluation = set_name("unlabelled"), set_name("evaluation")
        return Study(
            address, folder, done.model, PREFERENCES, unlabelled, evaluation, self.recipe, self.task.seed
        )

    def paired(self, study: Study) -> None:
        """Outputs of the SFT model, pairs of them for training, and others on which judges are compared."""
        draws = [
            SampleTask(set_name(split), DRAWS, 2, decoding=study.decoding, seed=self.task.seed)
            for split in ("preference", "validation")
        ]
        draws += [study.sampled(SFT, self.task.seed), study.sampled(BASELINE, self.task.seed + 1)]
        steps = [Step(each.producer, study.ledger, None, {}, None, (each,), study.sft) for each in draws]
        took = [done.seconds for done in self.pool.each([partial(run, step) for step in steps])]
        self.say(f"sampled in {sum(took):.0f} s")
        for name, split in ((PREFERENCES, "preference"), (CROSSED, "validation")):
            pair(self.ledger, PairTask(name, (Source(DRAWS),), set_name(split), seed=self.task.seed))

    def judged(self, provider: Provider) -> None:
        """People and simulators judge the preference pairs, and the crossed ones."""
        training, crossed = PairFilter(source=PREFERENCES), PairFilter(source=CROSSED)
        self._ask_people(training, 1)
        self._ask_people(crossed, self.scale.crossed)
        strong = replace(provider, models=(QUIET_MODEL,))
        self._ask(NOISY, training, provider)
        self._ask(STRONG, training, strong)
        for name, asked in ((NOISY, provider), (QUIET, provider), (STRONG, strong)):
            self._ask(name, crossed, asked)
        judge_by_gold(self.ledger, crossed)

    def evaluated(self, provider: Provider) -> None:
        """People, simulators and the truth judge the evaluation's pairs."""
        pairs = PairFilter(source=EVALUATION)
        self._ask_people(pairs, self.scale.jury)
        self._ask(QUIET, pairs, provider)
        judge_by_gold(self.ledger, pairs)

    def curves(self, study: Study) -> tuple[CurvePoint, ...]:
        """Best-of-n under three kinds of feedback, on the validation split."""
        rewards = {each.name: reward_model_of(study, each.name) for each in self._worlds}
        scale = self.scale
        task = CurveTask(
            study.ledger, study.sft, set_name("validation"), rewards, study.decoding, scale.curve_samples,
            scale.curve_instructions, self.task.seed,
        )  # fmt: skip
        [points] = self.pool.each([partial(best_of_n_curves, task)])
        return tuple(points)

    @property
    def _worlds(self) -> tuple[Feedback, ...]:
        return (self.people, self.simulators, self.quiet)

    def _ask_people(self, pairs: PairFilter, persons: int) -> None:
        made = people(self.ledger, self.world, pairs, persons)
        self.say(f"people judged {made.pairs:,} pairs of {pairs.source}: {made.new:,} new judgements")

    def _ask(self, name: str, pairs: PairFilter, provider: Provider) -> None:
        made = annotate(self.ledger, name, Task(pairs, seed=self.task.seed), _silent, provider)
        new = sum(made.statuses.values())
        self.say(f"{name} judged {made.pairs:,} pairs of {pairs.source}: {new:,} new judgements")


def quickstart(task: QuickstartTask, say: Say) -> Quickstart:
    """Run the study, or go on with it. say: gets a line for each step, with the seconds since the start."""
    began = perf_counter()
    path = task.out / "farm.db"
    task.out.mkdir(parents=True, exist_ok=True)

    def told(line: str) -> None:
        say(f"{perf_counter() - began:4.0f} s  {line}")

    with Ledger.open(path, create=True) as ledger, workers(task.processes) as pool:
        steps = _Study(task, ledger, pool, told)
        study = steps.supervised()
        steps.paired(study)
        both = (steps.people, steps.simulators)
        with judging(task.seed) as provider:
            steps.judged(provider)
            producers = train_all(ledger, study, both, pool, told, reward_models=(steps.quiet,))
            meet(ledger, study, [SFT, *producers])
            steps.evaluated(provider)
        points = steps.curves(study)
        rates = judged(ledger, (*both, TRUTH), len(list(instructed(ledger, study.evaluation))))
        ranking = rank_agreement(ledger, *both)
        results = StudyResults(BASELINE, task.seed, rates, ranking, points, perf_counter() - began)
        results.write(task.out / "study.json")
        page = task.out / "report.html"
        report(ledger, page, ReportOptions(CROSSED, subject="Quickstart", study=task.out / "study.json"))
        told(f"report: {page}")
    return Quickstart(path, page, results)


@contextmanager
def judging(seed: int) -> Iterator[Provider]:
    """The world's simulated judges behind HTTP, and how to ask them."""
    with Simulator(world_simulator_config(seed)) as simulator:
        yield Provider((), simulator.base_url)


def _silent(annotator: str, done: int) -> None:
    pass
