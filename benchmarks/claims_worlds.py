"""Trains the arms of benchmarks/claims.yaml in the world of one seed, and measures them.

The world, its supervised model and its pairs are the quickstart's. Every arm is trained once, however many
claims use it, and what was made before is found again in the folder and the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

from benchmarks.claims_data import ClaimData, place
from benchmarks.claims_jobs import RoundsStep, accuracy, distance, kept_rules, run_rounds
from benchmarks.claims_parts import Arm, Claims
from benchmarks.scales import measured
from db.ledger import Ledger, PairFilter
from db.queries import history, training
from db.queries.outputs import Source, outputs_of
from farm.judging.provider import Provider, Task
from farm.methods import REWARD_MODELS
from farm.options.rounds import Rounds
from farm.pair import PairTask, pair
from farm.quickstart import SCALES, QuickstartTask, Stages
from farm.statistics.win_rates import win_rates
from farm.studies.recipe import BEST_OF_N, FOLDER, Recipe, options_of
from farm.studies.results import PEOPLE
from farm.studies.validation import BASELINE, SFT, against_baseline
from farm.studies.work import Step, Workers, run
from farm.train import TrainTask
from farm.world.build import set_name
from farm.world.language import base_model
from farm.world.people import GOLD, judge_by_gold, people

CLAIMS = "claims"  # names sources of pairs with the baseline, producers, and the folder of the runs
HELD = 0.4  # share of the pairs, on which reward models are measured
MEASURED = 200  # instructions on which distances are measured
TINY_STEPS, TINY_PROMPTS = 4, 8


class SeedWorld:
    """The world of one seed, with the arms that were made in it."""

    def __init__(
        self, claims: Claims, task: QuickstartTask, *, ledger: Ledger, pool: Workers, provider: Provider
    ) -> None:
        self.claims, self.scale, self.ledger, self.pool = claims, task.scale, ledger, pool
        self.stages = Stages(task, ledger, pool, said, measured(task.scale))
        self.study = self.stages.make_study()
        self.recipe = Recipe.read(FOLDER / SCALES["small"].recipe)
        self.stages.sample_and_pair(self.study)
        self.models = {SFT: self.study.sft, "base": str(base_model())}
        self.in_rounds: dict[str, float] = {}  # judgements of runs of rounds
        self.data = ClaimData(self.stages, self.study, provider, self.models)

    def figures(self, wanted: Iterable[str]) -> dict[str, dict[str, float]]:
        """Train the arms that are wanted, with those that they need, and measure them."""
        names = list(dict.fromkeys(wanted))
        before = [each for name in names if name != SFT for each in (*self.claims.before(name), name)]
        waiting = [each for each in dict.fromkeys(before) if each not in self.models]
        while waiting:
            ready = [each for each in waiting if self.models.keys() >= set(self.claims.arms[each].needs)]
            steps = [self.step(each, sampled=each in names) for each in ready]
            jobs = [
                partial(run, each) if isinstance(each, Step) else partial(run_rounds, each) for each in steps
            ]
            for done in self.pool.each(jobs):
                said(f"{done.name}: {done.seconds:.0f} s")
                self.models[done.name] = done.model
                self.in_rounds[done.name] = done.metrics.get("judgements", 0.0)
            waiting = [each for each in waiting if each not in ready]
        return self.measured(names)

    def step(self, name: str, sampled: bool) -> Step | RoundsStep:
        """The step that trains an arm. sampled: draw its outputs to the evaluation set too."""
        arm, study, data = self.claims.arms[name], self.study, self.data
        start, reward = self.models[arm.start], self.reward(name)
        drawn = study.sampled(self.producer(name), study.seed)
        if arm.method == BEST_OF_N:
            n = int(str(self.recipe.methods[BEST_OF_N]["n"]))
            return Step(name, study.ledger, samples=(replace(drawn, best_of=n, reward=reward),), model=start)
        train = TrainTask(
            start,
            self.folder(name),
            snapshot=data.snapshot(arm.pairs) if arm.pairs else None,
            set_name=None if arm.pairs else data.instructions(arm),
            demonstrations=data.demonstrations() if arm.pairs and arm.pairs.demonstrated else None,
            reward=reward,
            token_reward=self.models[arm.token_reward] if arm.token_reward else None,
            teacher=self.models[arm.teacher] if arm.teacher else None,
            annotator=arm.judge,
            max_judgements=arm.judgements,
            held_out=0.0,
            constraints=arm.constraints,
            judging=Task(utility=arm.utility),
            provider=data.asked(arm.judge, arm.judge_model) if arm.judge else Provider(),
        )
        if arm.rounds is not None:
            wanted = replace(train, rounds=self.rounds(arm.rounds))
            return RoundsStep(name, study.ledger, arm.method, self.options(arm), wanted, samples=(drawn,))
        samples = (drawn,) if sampled and arm.method not in REWARD_MODELS else ()
        return Step(name, study.ledger, arm.method, self.options(arm), train=train, samples=samples)

    def rounds(self, given: Mapping[str, object]) -> Rounds:
        """The rounds of an arm; of the tiny scale with few instructions. The simulated provider rewrites."""
        found = Rounds(**given)  # type: ignore[arg-type]
        found = replace(found, rewriter_url=self.data.provider.base_url if found.rewriter else None)
        return replace(found, prompts=TINY_PROMPTS) if self.tiny else found

    @property
    def tiny(self) -> bool:
        """Whether runs are cut short, to see that they run."""
        return self.scale == "tiny"

    def folder(self, name: str) -> Path:
        """The folder of an arm's run, by all that the arm is made of."""
        return self.study.folder / CLAIMS / self.claims.key(name)

    def producer(self, name: str) -> str:
        """Who an arm's outputs are by."""
        return SFT if name == SFT else f"{CLAIMS}/{self.claims.key(name)}"

    def options(self, arm: Arm) -> dict[str, str]:
        """The options of an arm, as the command line has them: its own, or the recipe's."""
        shared = {SFT: self.recipe.sft, "reward_model": self.recipe.reward_model, **self.recipe.methods}
        found = options_of(shared[arm.method] if arm.options is None else arm.options)
        if self.tiny:
            found["max_steps"] = str(min(TINY_STEPS, int(found.get("max_steps", TINY_STEPS))))
        return {**found, "seed": str(self.study.seed)}

    def reward(self, name: str) -> str | None:
        """The reward of an arm, with its noise or weight."""
        arm = self.claims.arms[name]
        source = self.models[arm.reward] if arm.reward else None
        if source is None or (not arm.flips and arm.weight == 1):
            return source
        card: dict[str, object] = {"kind": "weighted", "rewards": [{"reward": source, "weight": arm.weight}]}
        if arm.flips:
            card = {"kind": "noisy", "reward": source, "how": "flip", "share": arm.flips, "per": "group"}
            card |= {"centre": 0.0, "seed": self.study.seed}
        folder = self.folder(name).with_suffix(".reward")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "reward.json").write_text(json.dumps(card), encoding="utf-8")
        return str(folder)

    def measured(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """The figures of arms: of policies win rates and distances, of reward models the accuracy."""
        begun = {
            name: {measure: self.pool.begin(job) for measure, job in self.jobs(name).items()}
            for name in names
        }
        found = {name: {m: future.result() for m, future in each.items()} for name, each in begun.items()}
        policies = [
            name for name in names if name == SFT or self.claims.arms[name].method not in REWARD_MODELS
        ]
        for name, rates in self.gains(policies).items():
            found[name] |= rates
        for name in names:
            if bought := self.bought(name):
                found[name]["judgements"] = bought
            if name != SFT and (rules := self.claims.arms[name].checks):
                answers = list(outputs_of(self.ledger, Source(self.producer(name)), self.study.evaluation))
                found[name]["passed"] = kept_rules(answers, rules)
                found[name]["words"] = fmean(len(each.text.split()) for each in answers)
        return found

    def jobs(self, name: str) -> dict[str, partial[float]]:
        """What is measured with the model of an arm in another process, by measure."""
        arm, model = self.claims.arms.get(name), self.models[name]
        if arm is None or arm.method == BEST_OF_N:
            return {}
        if arm.method in REWARD_MODELS:
            return {"accuracy": partial(accuracy, self.study.ledger, model, self.held_out())}
        asked = list(training.instructed(self.ledger, set_name("validation")))[:MEASURED]
        far = partial(distance, asked=asked, decoding=self.study.decoding, seed=self.study.seed)
        if arm.start != "base":
            return {"kl": partial(far, model, self.models[arm.start])}
        teachers = {"to_oracle": self.study.sft, "to_teacher": self.models[arm.teacher or SFT]}
        return {
            measure: partial(far, teacher, model, each_token=True)
            for measure, teacher in teachers.items()
            if arm.teacher or measure == "to_oracle"
        }

    def held_out(self) -> tuple[int, ...]:
        """The ids of the pairs that are last in the order by hash."""
        keys = self.ledger.pair_keys(PairFilter(source=self.study.pairs))
        last = sorted(keys, key=lambda number: place(keys[number]))
        return tuple(last[int((1 - HELD) * len(last)) :])

    def gains(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """Win rates against the baseline, less the supervised model's: by the gold utility and by people."""
        rates = {name: self.win_rates(name) for name in dict.fromkeys([SFT, *names])}
        return {
            name: {judge: rate - rates[SFT][judge] for judge, rate in rates[name].items()} for name in names
        }

    def win_rates(self, name: str) -> dict[str, float]:
        """The win rate of an arm against the baseline, by kind of judge."""
        producer = self.producer(name)
        source = f"{CLAIMS} {producer}"
        wanted = PairFilter(source=source)
        against = PairTask(source, (Source(producer),), self.study.evaluation, Source(BASELINE))
        pair(self.ledger, against)
        judge_by_gold(self.ledger, wanted)
        people(self.ledger, self.stages.world, wanted, self.stages.scale.jury)
        found = against_baseline(self.ledger, source)
        judges = {"gold": (GOLD.name,), PEOPLE: self.stages.people.judges}
        return {
            kind: win_rates(found[found["judge"].isin(those)], by="producer")[producer].value
            for kind, those in judges.items()
        }

    def bought(self, name: str) -> float:
        """Judgements that an arm and those before it learnt from, each once."""
        if name == SFT:
            return 0.0
        arms = {each: self.claims.arms[each] for each in (*self.claims.before(name), name)}
        stored = {self.data.snapshot(arm.pairs) for arm in arms.values() if arm.pairs}
        fresh = [self.folder(each) for each, arm in arms.items() if arm.buys and arm.rounds is None]
        asked = sum(self.in_rounds.get(each, 0.0) for each, arm in arms.items() if arm.buys)
        return float(sum(self.data.rows[each] for each in stored)) + sum(map(self.judgements, fresh)) + asked

    def judgements(self, folder: Path) -> float:
        """The fresh judgements of a run."""
        [run_id] = [each.id for each in history.runs(self.ledger) if Path(each.run.folder) == folder]
        logged = history.metrics(self.ledger)
        mine = logged[(logged["run"] == run_id) & (logged["name"] == "judging/bought")]
        return float(mine["value"].max())


def said(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)
