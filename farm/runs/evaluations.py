"""Evaluations during training: a judge compares checkpoints with a reference, on instructions held out.

Outputs, pairs and judgements are rows of the ledger, made by what `farm evaluate` is made of. Their names
follow from the run and the step, so a run that is started again asks nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

import pandas as pd

from annotators.clients.budget import Charge
from annotators.composite import all_specs
from db.errors import ConfigError, Paused
from db.ids import Json, canonical_json, content_hash
from db.ledger import Ledger, PairFilter
from db.queries import fresh, training
from db.queries.contests import contests
from db.queries.outputs import latest
from db.records import Instruction, Membership
from farm.config import Decoding, TrainConfig, loading_of
from farm.evaluate import EvaluateTask, meet, pairs_of, refuse_half
from farm.judging.at_work import AnnotatorAtWork
from farm.judging.provider import Provider
from farm.leaderboard import against, rate_of
from farm.models.policy import Policy
from farm.options.train import TrainTask
from farm.progress import Progress
from farm.runs.judges import at_work
from farm.runs.records import learnt_from
from farm.sample import SampleTask, sample
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import answer
from farm.statistics.turning import best_of, fall
from farm.training.checkpoint import RunFolder
from farm.training.loop import Log
from farm.training.method import Method
from farm.training.processes import Processes


@dataclass(frozen=True)
class CheckpointRate:
    """The win rate of a checkpoint against the reference, in [0, 1], with its 95 % bounds.

    n: judgements. n_failed: those without a verdict, and instructions without an answer. path: the folder.
    """

    step: int
    win_rate: float
    low: float | None
    high: float | None
    n: int
    n_failed: int
    path: str


@dataclass(frozen=True)
class Evaluated:
    """The evaluations of a run. best: the one with the highest win rate. set_name: of the instructions.

    fall: how far the latest checkpoint is below the best one or below the start, at a level that holds for
    all evaluations; None for a run that was not stopped.
    """

    annotator: str
    set_name: str
    source: str
    rates: tuple[CheckpointRate, ...]
    best: CheckpointRate | None
    fall: Interval | None

    def to_json(self) -> Json:
        """The evaluations as a JSON object."""
        return asdict(self)


class Evaluations:
    """The evaluations of one run: call `after` with each step whose checkpoint is written.

    name: of the run. It must follow from all that can change what is learnt. config: how models are loaded.
    The caps of the provider hold for all evaluations of the run, in whatever process.
    """

    def __init__(
        self,
        ledger: Ledger,
        task: TrainTask,
        config: TrainConfig,
        *,
        name: str,
        folder: RunFolder,
        progress: Progress,
    ) -> None:
        """Raises ConfigError on a judge that cannot be asked, and where no instruction is held out."""
        wanted = task.evaluating
        self._ledger, self._task, self._folder, self._progress = ledger, task, folder, progress
        self._judge = evaluator(ledger, task)
        self.set_name = held_out_set(ledger, task)
        loading = loading_of(config)
        self._sampling = SampleTask(
            self.set_name,
            limit=wanted.limit,
            decoding=Decoding(temperature=wanted.temperature, max_new_tokens=wanted.max_new_tokens),
            loading=loading,
        )
        self._begin = replace(loading, template=config.template)
        told: list[Json] = [self.set_name, wanted.limit, wanted.against, wanted.temperature]
        options = content_hash("evaluations", [*told, wanted.max_new_tokens])[:8]
        self._run, self.source = name, f"evaluate {name} {options}"
        [self._annotator_id] = ledger.write_patiently(lambda w: w.annotators([self._judge.annotator.card]))
        self._count_what_was_bought()
        self._planned: Sequence[int] = ()
        self._log: Log = lambda step, metrics: None
        self._reference = wanted.against or ""
        self._votes: dict[int, pd.Series[float]] = {}
        self.rates: dict[int, CheckpointRate] = {}
        self.fallen: Interval | None = None

    @property
    def named(self) -> dict[str, Json]:
        """Who judges what, as the run's row in the ledger has it."""
        card = self._judge.annotator.card
        found: dict[str, Json] = {"annotator": card.name, "key": card.key, "source": self.source}
        return found | {"set": self.set_name, "against": self._task.evaluating.against or self._task.model}

    def begin(self, method: Method[Any], log: Log, processes: Processes) -> Callable[[int], bool]:
        """Plan the evaluations of this method's run. log: where their figures go.

        Gives `after`, which the first process calls for all. Raises ConfigError where the method makes no
        model that answers.
        """
        refuse_silent(method)
        every = self._task.evaluating.every or method.feed.steps
        self._planned = planned(every, method.feed.steps, method.feed.rollout_steps)
        self._folder.also, self._log = frozenset(self._planned), log
        return lambda step: processes.told_by_first(lambda: self.after(step))

    def after(self, step: int) -> bool:
        """Evaluate the checkpoint of a step, if that is planned. Gives whether the run is to stop there.

        Raises RunStopped where the provider or the budget ends it; called again, it goes on.
        """
        if step not in self._planned:
            return False
        self._meet_reference()
        for earlier in (each for each in self._planned if each < step and each not in self._votes):
            self._read(earlier)
        self._ask(step)
        self._read(step)
        if step not in self.rates:
            raise ConfigError("no judgement succeeded", where=f"the evaluation of step {step}")
        self._folder.best = best_of(self._votes)
        self._folder.prune()
        self._log(step, self._figures(step))
        difference = fall(self._of_start | self._votes, len(self._of_start) + len(self._planned))
        turned = difference is not None and answer(difference) == "yes"
        self.fallen = difference if turned and self._task.evaluating.stop else None
        return self.fallen is not None

    @property
    def _of_start(self) -> dict[int, pd.Series[float]]:
        """The evaluation of step 0, where that is the reference: a tie on each instruction."""
        if self._task.evaluating.against:
            return {}
        return {0: pd.Series({each.key: 0.5 for each in self._asked()})}

    def result(self) -> Evaluated:
        """What the run is told of them."""
        rates = tuple(self.rates[step] for step in sorted(self.rates))
        best = self.rates.get(self._folder.best or 0)
        name = self._judge.annotator.name
        return Evaluated(name, self.set_name, self.source, rates=rates, best=best, fall=self.fallen)

    def _meet_reference(self) -> None:
        """Let the model as it begins answer, where it is the reference."""
        if not self._reference:
            self._reference = self._producer(0)
            begin = replace(self._sampling, producer=self._reference, loading=self._begin)
            report = sample(self._ledger, self._task.model, begin, self._progress)
            refuse_half(report.elsewhere, "outputs", self.set_name)

    def _producer(self, step: int) -> str:
        return f"{self._run} step {step}"

    def _ask(self, step: int) -> None:
        """Draw, pair and judge what is missing of a step's evaluation."""
        given = replace(self._sampling, producer=self._producer(step))
        task = EvaluateTask(str(self._folder.at(step) / "model"), self._reference, "", given)
        met = meet(self._ledger, task, self._progress, name=self.source)
        self._reference = met.theirs.producer
        try:
            judged = self._judge.judge(PairFilter(ids=met.ids), self._progress)
        except Paused as error:
            error.where = f"the evaluation of step {step}"
            raise
        finally:
            self._count_what_was_bought()
        refuse_half(judged.elsewhere, "judgements", self.set_name)

    def _count_what_was_bought(self) -> None:
        keys = [spec.draw_key for spec in all_specs(self._judge.annotator)]
        self._bought = fresh.bought(self._ledger, self.source, self._annotator_id, keys)
        spent = Charge(requests=self._bought.requests, cost=self._bought.cost)
        self._judge.account.spent = spent

    def _read(self, step: int) -> None:
        """Take the judgements of a step's evaluation from the ledger, if there are any."""
        ours, theirs = (latest(self._ledger, name) for name in (self._producer(step), self._reference))
        only = frozenset(each.key for each in self._asked())
        try:
            ids = pairs_of(self._ledger, self.source, ours, theirs, only=only)
        except ConfigError:
            return  # that step was not evaluated
        rows = contests(self._ledger, self.source, ours.producer)
        rows = rows[(rows["annotator"] == self._annotator_id) & rows["pair_id"].isin(ids)]
        if rows["preference"].isna().all():
            return
        frame = against(rows, theirs.producer)
        times = int(rows.groupby("pair_id").size().max())
        rate = rate_of(frame, [key for key in sorted(only) for _ in range(times)])
        self._votes[step] = frame.groupby("instruction")["preference"].mean()
        self.rates[step] = CheckpointRate(
            step,
            rate.value,
            rate.interval.low,
            rate.interval.high,
            n=rate.n,
            n_failed=rate.n_failed,
            path=str(self._folder.at(step)),
        )

    def _asked(self) -> Sequence[Instruction]:
        return list(training.instructed(self._ledger, self.set_name))[: self._task.evaluating.limit]

    def _figures(self, step: int) -> Mapping[str, float]:
        """What is logged of an evaluation. Bounds are left out where there are none."""
        rate = self.rates[step]
        bounds = {"low": rate.low, "high": rate.high}
        figures = {"win_rate": rate.win_rate, "n": float(rate.n), "n_failed": float(rate.n_failed)}
        figures |= {name: value for name, value in bounds.items() if value is not None}
        figures |= {"bought": float(self._bought.judgements), "cost": self._bought.cost}
        return {f"evaluate/{name}": value for name, value in figures.items()}


def refuse_silent(method: Method[Any]) -> None:
    """Raise ConfigError on a method that makes no model that answers."""
    if not isinstance(method.product, Policy):
        what = "this method makes no model that answers instructions"
        raise ConfigError(what, where="--evaluate-every", remedy="leave it out")


def planned(every: int, steps: int, rollout_steps: int) -> tuple[int, ...]:
    """The steps that are evaluated: each multiple of `every`, at the end of its rollout, and the last one.

    >>> planned(4, 10, 1), planned(4, 12, 3)
    ((4, 8, 10), (6, 9, 12))
    """
    ends = (ceil(step / rollout_steps) * rollout_steps for step in range(every, steps + 1, every))
    return tuple(sorted({*(min(end, steps) for end in ends), steps}))


def evaluator(ledger: Ledger, task: TrainTask) -> AnnotatorAtWork:
    """The judge of the evaluations. Raises ConfigError on one that cannot judge what is new."""
    wanted, provider = task.evaluating, asked_of(task)
    return at_work(ledger, str(wanted.annotator), wanted.judging, provider, flag="--evaluate-annotator")


def asked_of(task: TrainTask) -> Provider:
    """Where the judge of evaluations is asked. What is not said of it is as for that of fresh responses."""
    own = task.evaluating.provider
    url = own.base_url or (None if own.local else task.provider.base_url)
    return replace(
        task.provider,
        models=own.models,
        base_url=url,
        max_cost=own.max_cost,
        max_requests=own.max_requests,
        local=own.local,
    )


def held_out_set(ledger: Ledger, task: TrainTask) -> str:
    """The name of the set of instructions to evaluate on, written where it is new. Raises ConfigError."""
    name, left = held_out_instructions(ledger, task)
    if name != task.evaluating.set_name:
        ledger.write_patiently(lambda writer: writer.memberships([Membership(each, name) for each in left]))
    return name


def held_out_instructions(ledger: Ledger, task: TrainTask) -> tuple[str, list[Instruction]]:
    """The instructions to evaluate on, of which the run learns from none, and the name of their set.

    It is the set that is named, or a new one of those of its instructions that are held out. Without a name
    it is a new one of the data's held-out share. Raises ConfigError where there is none.
    """
    wanted = task.evaluating.set_name
    learnt, held_out = learnt_from(ledger, task)
    found = held_out if wanted is None else list(training.instructed(ledger, wanted))
    left = [each for each in found if each.key not in learnt]
    if not left:
        what = "no instruction is held out" if found or wanted is None else "there are no instructions"
        remedy = "raise --held-out, or name another set with --evaluate-set"
        raise ConfigError(what, where=wanted or task.set_name or task.snapshot or "", remedy=remedy)
    if wanted is not None and len(left) == len(found):
        return wanted, left
    of = task.set_name or f"snapshot {task.snapshot}"
    name = f"{wanted} not in {of}" if wanted not in (None, of) else of
    name = f"{name} held out {canonical_json(task.held_out)}"
    if task.demonstrations and wanted is not None:
        name = f"{name} and {task.demonstrations}"
    return name, left
