"""Run AlpacaFarm's whole study in the embedded world, from nothing to a report: `farm quickstart`.

The stages are: world, supervised fine-tuning, sampling, pairs, people and simulated judges, reward models,
methods on both kinds of feedback, evaluation by both, over-optimisation. Audit, ranking agreement and the
report follow; they are read from the ledger. Each stage keeps what an earlier call did, so an interrupted
study goes on. The truth judges last, and its verdicts are used for figures alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter

from annotators import catalogue
from annotators.draws import Orders
from annotators.simulator import simulator_process
from db.ledger import Ledger, PairFilter
from db.queries.outputs import Source
from db.queries.training import instructed
from farm.annotate import annotate
from farm.judging.provider import Provider, Task
from farm.options.quickstart import CROWD as CROWD
from farm.options.quickstart import QuickstartTask as QuickstartTask
from farm.pair import PairTask, pair
from farm.progress import silent
from farm.report import ReportOptions, report
from farm.sample import SampleTask
from farm.studies.annotators import compare_annotators
from farm.studies.over_optimisation import Arm, Curves, CurveTask, best_of_n_curves, ppo_curves
from farm.studies.recipe import FOLDER, Recipe, options_of
from farm.studies.results import PEOPLE, SIMULATORS, StudyResults
from farm.studies.validation import (
    BASELINE,
    EVALUATION,
    PPO,
    SFT,
    Feedback,
    Study,
    begin,
    method_win_rates,
    pair_with_baseline,
    rank_agreement,
    reward_model_of,
    train_all,
)
from farm.studies.work import Step, Workers, run, workers
from farm.train import TrainTask
from farm.world.build import PAPER, SMALL, TINY, Sizes, WorldSpec, build, set_name
from farm.world.crowd import crowd
from farm.world.judges import QUIET_MODEL, world_simulator_config
from farm.world.people import GOLD, judge_by_gold, people

Say = Callable[[str], None]
DRAWS = "sft-draws"
TRUTH = Feedback("gold", (), (GOLD.name,))
PREFERENCES, CROSSED = "preferences", "crossed"  # one person a pair; several, for agreement
STRONG = "judge"  # of the catalogue; these judges vary as people do without any flips
RESPONSES = 4  # PPO is measured on so many times the instructions of best-of-n, which draws many to each


@dataclass(frozen=True)
class Scale:
    """How large a study is, with numbers of judges for each pair.

    crossed: people, and as many simulators, where agreement is measured. jury: people, in the evaluation.
    panel: simulators, in the evaluation. quiet_ppo: whether a PPO policy learns from the quiet judge too, for
    the curves of over-optimisation.
    """

    sizes: Sizes
    recipe: str
    crossed: int = 4
    jury: int = 3
    panel: int = 1
    curve_samples: int = 128
    curve_instructions: int = 100
    quiet_ppo: bool = True


SCALES = {
    "tiny": Scale(TINY, "tiny.yaml", curve_samples=16, curve_instructions=50),
    "small": Scale(
        replace(SMALL, evaluation=500), "small.yaml", curve_samples=64, curve_instructions=64, quiet_ppo=False
    ),
    "paper": Scale(PAPER, "paper.yaml", panel=3, curve_samples=256, curve_instructions=200),
}


@dataclass(frozen=True)
class Quickstart:
    """The finished study: its ledger, its report and its results."""

    ledger: Path
    report: Path
    results: StudyResults


class Stages:
    """The stages of one quickstart, and what they share. scale: in place of the one that the task names."""

    def __init__(
        self, task: QuickstartTask, ledger: Ledger, pool: Workers, say: Say, scale: Scale | None = None
    ) -> None:
        self.task, self.ledger, self.pool, self.say = task, ledger, pool, say
        self.scale = scale or SCALES[task.scale]
        self.world = WorldSpec(seed=task.seed, sizes=self.scale.sizes)
        self.recipe = Recipe.read(FOLDER / self.scale.recipe)
        names = tuple(person.name for person in crowd(task.seed))
        self.people = Feedback(PEOPLE, names, names)
        self.simulators = Feedback(SIMULATORS, (catalogue.load(task.simulators).name,), (CROWD,))
        self.quiet = Feedback("quiet", (STRONG,), ())

    def make_study(self) -> Study:
        """Make the world and train the SFT model."""
        from farm.world.language import base_model

        made = build(self.ledger, self.world)
        self.say(f"world: {sum(made.instructions.values()):,} instructions, {made.demonstrations:,} answers")
        folder = self.task.out / "runs"
        train = TrainTask(str(base_model()), folder / SFT, set_name=set_name("sft"))
        options = {**options_of(self.recipe.sft), "seed": str(self.task.seed)}
        address = str(self.ledger.address)
        [done] = self.pool.each(
            [partial(run, Step(name=SFT, ledger=address, method="sft", options=options, train=train))]
        )
        self.say(f"sft: {done.seconds:.0f} s")
        unlabelled, evaluation = set_name("unlabelled"), set_name("evaluation")
        return Study(
            ledger=address,
            folder=folder,
            sft=done.model,
            pairs=PREFERENCES,
            unlabelled=unlabelled,
            evaluation=evaluation,
            recipe=self.recipe,
            seed=self.task.seed,
        )

    def sample_and_pair(self, study: Study) -> None:
        """Draw outputs of the SFT model, and make pairs for training and pairs to compare judges on."""
        draws = [
            SampleTask(set_name(split), DRAWS, 2, decoding=study.decoding, seed=self.task.seed)
            for split in ("preference", "validation")
        ]
        draws += [study.sampled(SFT, self.task.seed), study.sampled(BASELINE, self.task.seed + 1)]
        steps = [Step(each.producer, study.ledger, samples=(each,), model=study.sft) for each in draws]
        took = [done.seconds for done in self.pool.each([partial(run, step) for step in steps])]
        self.say(f"sampled in {sum(took):.0f} s")
        for name, split in ((PREFERENCES, "preference"), (CROSSED, "validation")):
            pair(self.ledger, PairTask(name, (Source(DRAWS),), set_name(split), seed=self.task.seed))

    def ask_people(self) -> None:
        """Let people judge the preference pairs once, and the crossed pairs several times."""
        self._let_people_judge(PairFilter(source=PREFERENCES), 1)
        self._let_people_judge(PairFilter(source=CROSSED), self.scale.crossed)

    def ask_simulators(self, provider: Provider) -> None:
        """Let simulators judge the same pairs, first those on which the audit compares them with people."""
        training, crossed = PairFilter(source=PREFERENCES), PairFilter(source=CROSSED)
        strong = replace(provider, models=(QUIET_MODEL,))
        self.ask(CROWD, crossed, provider, self.scale.crossed)
        found = compare_annotators(self.ledger, CROSSED, CROWD)
        self.say(f"agreement with people in %: people {found.people}, simulators {found.simulators}")
        self.ask(self.task.simulators, training, provider)
        self.ask(STRONG, training, strong, orders=Orders.RANDOM)
        self.ask(STRONG, crossed, strong, orders=Orders.RANDOM)

    def judge_evaluation(self, provider: Provider) -> None:
        """Let people and simulators judge the pairs of the evaluation."""
        pairs = PairFilter(source=EVALUATION)
        self._let_people_judge(pairs, self.scale.jury)
        self.ask(CROWD, pairs, provider, self.scale.panel)

    def begin_curves(self, study: Study) -> list[Future[Curves]]:
        """Begin to measure over-optimisation on the validation split, in other processes."""
        scale, kinds = self.scale, (self.people, self.simulators, self.quiet)
        task = CurveTask(
            ledger=study.ledger,
            sft=study.sft,
            set_name=set_name("validation"),
            decoding=study.decoding,
            samples=scale.curve_samples,
            instructions=scale.curve_instructions,
            seed=self.task.seed,
        )
        arms = [
            Arm(each.name, reward_model_of(study, each.name), self._ppo_run(study, each)) for each in kinds
        ]
        each_response = replace(task, instructions=scale.curve_instructions * RESPONSES)
        jobs = partial(best_of_n_curves, task, arms), partial(ppo_curves, each_response, arms)
        return [self.pool.begin(job) for job in jobs]

    def _ppo_run(self, study: Study, feedback: Feedback) -> Path | None:
        learnt = feedback is not self.quiet or self.scale.quiet_ppo
        return study.folder / feedback.name / PPO if learnt else None

    def judge_by_truth(self) -> None:
        """Let the truth judge, for the columns called gold."""
        for source in (CROSSED, EVALUATION):
            judge_by_gold(self.ledger, PairFilter(source=source))

    def _let_people_judge(self, pairs: PairFilter, persons: int) -> None:
        made = people(self.ledger, self.world, pairs, persons)
        self.say(f"people judged {made.pairs:,} pairs of {pairs.source}: {made.new:,} new judgements")

    def ask(
        self,
        name: str,
        pairs: PairFilter,
        provider: Provider,
        replicates: int = 1,
        orders: Orders | None = None,
    ) -> None:
        """Let an annotator of the catalogue judge pairs. orders: in place of those of its spec."""
        asked = Task(pairs, replicates, orders, seed=self.task.seed)
        made = annotate(self.ledger, name, asked, silent, provider=provider)
        new = sum(made.statuses.values())
        self.say(f"{name} judged {made.pairs:,} pairs of {pairs.source}: {new:,} new judgements")


def quickstart(task: QuickstartTask, say: Say) -> Quickstart:
    """Run the study, or go on with it. say: called with a line for each step, with the seconds so far."""
    began = perf_counter()
    catalogue.load(task.simulators)  # an unknown one is an error before anything is started
    path = task.out / "farm.db"
    task.out.mkdir(parents=True, exist_ok=True)

    def told(line: str) -> None:
        say(f"{perf_counter() - began:4.0f} s  {line}")

    with Ledger.open(path, create=True) as ledger, workers(task.processes) as pool:
        pool.warm_up(task.processes)
        steps = Stages(task, ledger, pool, told)
        study = steps.make_study()
        steps.sample_and_pair(study)
        both = (steps.people, steps.simulators)
        steps.ask_people()
        begun = {PEOPLE: begin(ledger, study, steps.people, pool)}
        with judging(task.seed) as provider:
            steps.ask_simulators(provider)
            producers = train_all(
                ledger,
                study,
                both,
                pool=pool,
                say=told,
                studied={steps.quiet: steps.scale.quiet_ppo},
                begun=begun,
            )
            curves = steps.begin_curves(study)
            pair_with_baseline(ledger, study, [SFT, *producers])
            steps.judge_evaluation(provider)
        steps.judge_by_truth()
        found = [each.result() for each in curves]
        results = StudyResults(
            baseline=BASELINE,
            seed=task.seed,
            judged=method_win_rates(ledger, (*both, TRUTH), len(list(instructed(ledger, study.evaluation)))),
            ranking=rank_agreement(ledger, *both),
            curves=tuple(point for each in found for point in each.points),
            seconds=perf_counter() - began,
            turns=tuple(turn for each in found for turn in each.turns),
            annotators=compare_annotators(ledger, CROSSED, CROWD),
        )
        results.write(task.out / "study.json")
        page = task.out / "report.html"
        report(ledger, page, ReportOptions(CROSSED, subject="Quickstart", study=task.out / "study.json"))
        told(f"report: {page}")
        if task.scale == "tiny":
            told("this shows the way alone: so few pairs tell no methods apart; --scale small ranks them")
    return Quickstart(path, page, results)


@contextmanager
def judging(seed: int) -> Iterator[Provider]:
    """Run the world's simulated judges behind HTTP until the block ends. Gives the provider to ask."""
    with simulator_process(world_simulator_config(seed)) as base_url:
        yield Provider((), base_url)
