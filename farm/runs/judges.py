"""The annotators of a run: who judges its fresh responses, and who permits them as a constraint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from annotators.clients.budget import Account
from annotators.composite import all_specs
from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger
from farm.annotate import loaded
from farm.config import Decoding, TrainConfig
from farm.judging.at_work import AnnotatorAtWork, account_of
from farm.judging.in_training import TrainingJudge
from farm.judging.provider import Provider, Task
from farm.options.train import TrainTask
from farm.runs.rules import ReadConstraint
from farm.training.constraints import ComparedJudge
from farm.training.method import PairJudge, Trainer


class JudgesOfRun(NamedTuple):
    """The annotators of a run as its method knows them, and all of them as the ledger does."""

    fresh: Callable[[int], PairJudge] | None
    compared: Sequence[ComparedJudge]
    every: Sequence[TrainingJudge] = ()

    def named(self) -> dict[str, Json]:
        """Who judges, and where the judgements are, as the run's row in the ledger has it."""
        names: list[Json] = [each.named for each in self.every]
        if self.fresh and names:
            return {"annotator": names[0]}
        return {"constraint_judges": names} if names else {}


@dataclass(frozen=True)
class RunAnnotators:
    """The annotators of a run before it begins. They are asked from one account."""

    fresh: AnnotatorAtWork | None
    constraints: Sequence[tuple[ReadConstraint, AnnotatorAtWork]]

    def key(self, replicates: int) -> list[Json]:
        """Identity of who judges, and how often."""
        workers = [*([self.fresh] if self.fresh else []), *(worker for _, worker in self.constraints)]
        keys: list[Json] = [worker.annotator.card.key for worker in workers]
        return [*keys, replicates] if keys else []

    def begin(self, ledger: Ledger, task: TrainTask, config: TrainConfig, name: str) -> JudgesOfRun:
        """Let them judge for the run of this name. Raises ConfigError on a constraint's set that is empty."""
        every: list[TrainingJudge] = []

        def judge(worker: AnnotatorAtWork, source: str) -> Callable[[int], PairJudge]:
            assert isinstance(config, Decoding)
            replicates, limit = task.judging.replicates, task.max_judgements
            return TrainingJudge(
                ledger,
                worker,
                name=source,
                decoding=config,
                replicates=replicates,
                limit=limit,
                among=every,
            ).of_rollout

        fresh = judge(self.fresh, name) if self.fresh else None
        compared = [
            comparing(ledger, each, judge(worker, f"{name} constraint {place}"))
            for place, (each, worker) in enumerate(self.constraints, 1)
        ]
        return JudgesOfRun(fresh, compared, every)


def run_annotators(ledger: Ledger, method: Trainer, task: TrainTask) -> RunAnnotators:
    """The annotators that are named. Raises ConfigError on one that cannot judge what is new."""
    account = account_of(task.provider)

    def ready(name: str, flag: str) -> AnnotatorAtWork:
        return at_work(ledger, name, task.judging, task.provider, flag=flag, account=account)

    named = task.annotator if "judge" in method.needs else None
    constraints = [(each, ready(name, "--constraint")) for each, name in by_annotators(task.constraints)]
    return RunAnnotators(ready(named, "--annotator") if named else None, constraints)


def by_annotators(given: Sequence[str]) -> Iterator[tuple[ReadConstraint, str]]:
    """The constraints that annotators judge, each with the name of its annotator. Raises ConfigError."""
    for each in map(ReadConstraint.read, given):
        if each.annotator is not None:
            yield each, each.annotator


def comparing(ledger: Ledger, read: ReadConstraint, judge: Callable[[int], PairJudge]) -> ComparedJudge:
    """The constraint as a method knows it. Raises ConfigError on a set that is empty."""
    return ComparedJudge(judge, read.at_least, read.prompts(ledger))


def at_work(
    ledger: Ledger, name: str, task: Task, provider: Provider, *, flag: str, account: Account | None = None
) -> AnnotatorAtWork:
    """The annotator of this name, ready to be asked about what a run draws. flag: that names it.

    account: shared with others; None: one of its own. Raises ConfigError on one that cannot judge what is
    new.
    """
    ledger.refuse_read_only()
    annotator = loaded(name, task, provider)
    if any(spec.recorded for spec in all_specs(annotator)):
        what = f"{annotator.name} reads stored replies, and there are none about fresh responses"
        raise ConfigError(what, where=flag, remedy="name one that can be asked")
    return AnnotatorAtWork(ledger, annotator, task, provider, account=account)
