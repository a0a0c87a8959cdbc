"""Train a reference method from the ledger: `farm train METHOD`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import numpy as np

from annotators.catalogue import load as load_annotator
from annotators.composite import all_specs
from annotators.render import messages
from annotators.shown import ShownPair
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError, Paused, did_you_mean
from db.ids import Json, canonical_json, content_hash, keyed_uniform
from db.ledger import Ledger
from db.queries import history, training
from db.queries.ratings import rated, rated_attributes
from db.queries.training import Labelled, SnapshotCard
from db.records import AnnotatorKind, Output, Pair, Run, Turn, TurnRole
from db.schema import package_version
from farm.annotate import loaded
from farm.config import Decoding, Option, TrainConfig, build, options, read_yaml
from farm.evaluation.cards import model_card_path, write_model_card
from farm.judging.at_work import AnnotatorAtWork
from farm.judging.in_training import TrainingJudge
from farm.methods import METHODS, load
from farm.methods.robust_dpo import RobustDPOConfig
from farm.models.loading import source_key
from farm.models.tokens import Prompt
from farm.options.train import TrainTask as TrainTask
from farm.progress import Progress, silent
from farm.snapshot import snapshot_named
from farm.statistics.agreement import categories
from farm.statistics.reliability import flip_rate
from farm.training.checkpoint import RunFolder
from farm.training.conversions import FROM_SNAPSHOT, MADE
from farm.training.data import AskedPair, AttributedOutput, Data, Demonstration, JudgedOutput, PreferencePair
from farm.training.loop import Log, fit
from farm.training.method import FROZEN, DataKind, Trainer
from farm.training.processes import Processes
from farm.training.run_models import LoadedModels
from farm.training.tracking import tracked

METRICS_SECONDS = 1.0
SnapshotRecord: TypeAlias = tuple[str, JudgedOutput | PreferencePair]
"""The key of an instruction, and what a snapshot holds of it."""


@dataclass(frozen=True)
class TrainReport:
    """The result of a run. metrics: the last value of each."""

    method: str
    run: int
    steps: int
    checkpoint: str
    rows: int
    held_out: int
    metrics: dict[str, float]

    def to_json(self) -> Json:
        """The report as a JSON object."""
        return asdict(self)


def method_named(name: str) -> Trainer:
    """The trainer of a method. Raises ConfigError, which lists the names, on an unknown one."""
    if name not in METHODS:
        raise ConfigError(
            f"no method {name!r}", remedy=did_you_mean(name, METHODS, f"one of {', '.join(METHODS)}")
        )
    return load(name)


def method_options(name: str) -> list[Option]:
    """Every option of a method with its default and meaning. Raises ConfigError on an unknown name."""
    return options(method_named(name).Config)


def train(
    ledger: Ledger,
    name: str,
    task: TrainTask,
    yaml: Path | None,
    flags: Mapping[str, str],
    progress: Progress = silent,
) -> TrainReport:
    """Train to the end, from the run folder's latest checkpoint if there is one. Metrics go to the ledger.

    yaml, flags: the method's options; flags win. Raises ConfigError with all that is wrong with the options,
    DataError where the data cannot be used, TrainingDiverged before a gradient that is not finite is applied.
    """
    method_class = method_named(name)
    sources = [read_yaml(yaml)] if yaml else []
    where = ([str(yaml)] if yaml else []) + ["flags"]
    config = build(method_class.Config, *sources, flags, where=where)
    _check_models(name, method_class, task)
    config = _with_flip_rate(ledger, config, task, progress)
    at_work = _annotator(ledger, task) if "judge" in method_class.needs else None
    with Processes.joined() as processes, tracked(config.track, task.folder) as track:
        data = _data(ledger, method_class.data_kind, task, processes)
        folder = RunFolder(task.folder, config, processes, _inputs(ledger, task, at_work))
        judge = _judge(ledger, task, config, at_work, name=f"{name} {folder.identity[:12]}")
        models = LoadedModels(
            task.model,
            config,
            reference=task.reference,
            reward=task.reward,
            judge=judge.of_rollout if judge else None,
            token_reward=task.token_reward,
            teacher=task.teacher,
            keep=task.folder / "reference",
        )
        method = method_class(config, data, models)
        others = [track, shown(name, method.feed.steps, progress)]
        run = _Run(ledger, name, config, task=task, judge=judge, processes=processes, others=others)
        folder.before_save = run.flush
        try:
            fit(method, config, run, checkpoints=folder, processes=processes)
            if summary := method.summary():
                run(method.feed.steps, summary)
        except Paused as error:
            run.pause(folder)
            error.what = f"{error.what}; the checkpoint is {folder.latest}"
            raise
        finally:
            run.flush()
        run.finish(method.feed.steps, folder.latest)
    return TrainReport(
        method=name,
        run=run.id,
        steps=method.feed.steps,
        checkpoint=folder.latest,
        rows=len(data.train),
        held_out=len(data.held_out),
        metrics=run.last,
    )


def asked_pairs(rows: Iterable[Labelled], spec: AnnotatorSpec) -> Iterator[tuple[str, AskedPair]]:
    """Each judged pair as the annotator is asked about it, with its instruction's key.

    It is asked in both orders, first with output_a as the output shown first.
    """
    for row in rows:
        pair, flipped = Pair.of(*(Output(row.instruction, text) for text in (row.output_a, row.output_b)))
        for turned in (False, True):
            said = messages(spec, [ShownPair(pair, swapped=flipped != turned)])
            turns = tuple(Turn(TurnRole(each.role), each.content) for each in said)
            yield row.instruction.key, AskedPair(turns, spec.outputs, 1 - row.label if turned else row.label)


def _asked(task: TrainTask) -> AnnotatorSpec:
    """The annotator that is named. Raises ConfigError on one that a reply of one token does not answer."""
    if task.annotator is None:
        remedy = "name one with --annotator, such as logprob"
        raise ConfigError("this method learns to answer the prompt of an annotator", remedy=remedy)
    found = load_annotator(task.annotator)
    if not isinstance(found, AnnotatorSpec) or found.kind is not AnnotatorKind.LLM or found.recorded:
        what = f"{found.name} is no language model with a prompt"
    elif found.decoding.max_tokens != 1 or found.batch != 1:
        what = f"a reply to {found.name} has more than one token"
    else:
        return found
    raise ConfigError(what, where="--annotator", remedy="name one whose reply is one token, such as logprob")


def _annotator(ledger: Ledger, task: TrainTask) -> AnnotatorAtWork | None:
    """The judge of fresh responses that is named, ready to be asked; None where a reward model judges.

    Raises ConfigError on one that cannot judge what is new.
    """
    if task.annotator is None:
        return None
    ledger.refuse_read_only()
    annotator = loaded(task.annotator, task.judging, task.provider)
    if any(spec.recorded for spec in all_specs(annotator)):
        what = f"{annotator.name} reads stored replies, and there are none about fresh responses"
        raise ConfigError(what, where="--annotator", remedy="name one that can be asked")
    return AnnotatorAtWork(ledger, annotator, task.judging, task.provider)


def _judge(
    ledger: Ledger, task: TrainTask, config: TrainConfig, at_work: AnnotatorAtWork | None, *, name: str
) -> TrainingJudge | None:
    if at_work is None or not isinstance(config, Decoding):
        return None
    times, limit = task.judging.replicates, task.max_judgements
    return TrainingJudge(ledger, at_work, name=name, decoding=config, replicates=times, limit=limit)


def _inputs(ledger: Ledger, task: TrainTask, at_work: AnnotatorAtWork | None) -> str:
    """A hash of what a run starts from: its models, its data, who judges."""
    further = [source for source in (task.token_reward, task.teacher) if source]
    named = [source_key(source) for source in (task.model, task.reference, task.reward, *further)]
    data = snapshot_named(ledger, task.snapshot).key if task.snapshot else task.set_name or ""
    judges: list[Json] = [at_work.annotator.card.key, task.judging.replicates] if at_work else []
    return content_hash("inputs", [*named, data, *judges])


def _check_models(name: str, method: Trainer, task: TrainTask) -> None:
    """Raises ConfigError on a model or judge that the method does not ask for, and where one is missing."""
    judged = "judge" in method.needs
    for need, what in FROZEN.items():
        given, flag = getattr(task, need), f"--{need.replace('_', '-')}"
        if given and need not in method.needs and not (judged and need == "reward"):
            raise ConfigError(f"{name} asks no {what}", where=flag, remedy=f"leave {flag} out")
        if not given and need in method.needs and need != "reference":
            raise ConfigError(f"{name} needs a {what}", remedy=f"name one with {flag}")
    if task.annotator and not judged and method.data_kind != "questions":
        what, remedy = f"{name} asks no annotator, and learns no annotator's prompt", "leave --annotator out"
        raise ConfigError(what, where="--annotator", remedy=remedy)
    if task.max_judgements and not (judged and task.annotator):
        what, remedy = "a cap on judgements needs a judge", "name an --annotator"
        raise ConfigError(what, where="--max-judgements", remedy=remedy)
    if judged and bool(task.reward) == bool(task.annotator):
        what = f"{name} needs one judge" + (", and two are named" if task.reward else "")
        raise ConfigError(what, remedy="name an --annotator, or a reward model with --reward")


def _with_flip_rate(ledger: Ledger, config: TrainConfig, task: TrainTask, progress: Progress) -> TrainConfig:
    """The options with the flip rate of the snapshot's votes, if they ask for it.

    Raises ConfigError where it cannot be measured, or is that of a coin.
    """
    if not (isinstance(config, RobustDPOConfig) and config.measure_flip_rate and task.snapshot):
        return config
    votes = training.votes(ledger, snapshot_named(ledger, task.snapshot).id)
    counts = [np.bincount(categories(np.array(each)), minlength=3) for each in votes]
    found = flip_rate(np.array(counts)) if counts else None
    if found is None or found.rate >= 0.5:
        what = "two votes on one pair agree no more often than coins do"
        if found is None:
            what = "no pair was judged twice, so the flip rate cannot be measured"
        remedy = "give --flip-rate a number, or judge again with --replicates 2"
        raise ConfigError(what, where=f"snapshot {task.snapshot}", remedy=remedy)
    progress(f"flip rate {found.rate:.4f}, from {found.pairs:,} pairs of votes on one pair", 0)
    return replace(config, flip_rate=found.rate)


def shown(name: str, steps: int, progress: Progress) -> Log:
    """A log that shows metrics as progress: the step that training is at, and its loss."""

    def log(step: int, metrics: Mapping[str, float]) -> None:
        loss = f", loss {metrics['loss']:.4g}" if "loss" in metrics else ""
        progress(f"{name} to step {steps:,}{loss}", step)

    return log


class _Run:
    """The run's rows in the ledger, written by the first process alone; called with each step's metrics.

    Metrics wait METRICS_SECONDS at most, because a commit waits for the disk. They are written before each
    checkpoint: what a killed run loses, it trains again.
    """

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        config: TrainConfig,
        task: TrainTask,
        judge: TrainingJudge | None,
        processes: Processes,
        others: Sequence[Log],
    ) -> None:
        """judge: of fresh responses, whose figures are logged. others: where else metrics go."""
        self._ledger, self._first, self._others = ledger, processes.rank == 0, others
        self._judge = judge
        self.last: dict[str, float] = {}
        self._waiting: list[tuple[int, Mapping[str, float]]] = []
        self._written = monotonic()
        self.id = 0
        card = snapshot_named(ledger, task.snapshot) if task.snapshot else None
        if self._first:
            chosen: dict[str, Json] = asdict(config) | ({"annotator": judge.named} if judge else {})
            fact = Run(
                command=f"train {name}",
                config=canonical_json(chosen),
                version=package_version(),
                model=task.model,
                folder=str(task.folder),
                started=datetime.now(UTC).isoformat(timespec="seconds"),
                seed=config.seed,
                snapshot_id=card.id if card else None,
                set_name=task.set_name,
            )
            same = [each for each in history.runs(ledger) if replace(each.run, started=fact.started) == fact]
            self._steps = same[-1].steps if same else None  # it went on where it had stopped
            with ledger.writing() as writer:
                self.id = same[-1].id if same else writer.run(fact)

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        if self._judge and "loss" in metrics:
            metrics = {**metrics, **self._judge.figures()}
        self.last |= metrics
        if self._first:
            self._waiting.append((step, metrics))
            if monotonic() - self._written > METRICS_SECONDS:
                self.flush()
            for other in self._others:
                other(step, metrics)

    def flush(self) -> None:
        """Write the metrics that wait."""
        if self._waiting:
            with self._ledger.writing() as writer:
                for step, metrics in self._waiting:
                    writer.metrics(self.id, step, metrics)
        self._waiting, self._written = [], monotonic()

    def pause(self, folder: RunFolder) -> None:
        """Write the checkpoint from which the run will go on, if there is one."""
        if folder.steps:
            self.finish(folder.steps, folder.latest)

    def finish(self, step: int, path: str) -> None:
        if not self._first:
            return
        if self._steps != step:
            with self._ledger.writing() as writer:
                writer.checkpoint(self.id, step, path)
        if self._steps != step or not model_card_path(Path(path)).exists():  # killed before it was written
            write_model_card(self._ledger, self.id, Path(path))


def _data(ledger: Ledger, kind: DataKind, task: TrainTask, processes: Processes) -> Data[object]:
    """The records that the method wants, training and held out, divided by the hash of the instruction."""
    held: DataKind = kind
    records: Sequence[tuple[str, object]]
    if kind in FROM_SNAPSHOT:
        if task.snapshot is None:
            raise ConfigError("this method learns from judged pairs", remedy="name a --snapshot")
        card = snapshot_named(ledger, task.snapshot)
        held, records = snapshot_records(ledger, card)
        if (held, kind) == ("judged", "attributes"):
            held, records = kind, _attributed(ledger, card)
        if (held, kind) == ("pairs", "questions"):
            held, records = kind, list(asked_pairs(training.labelled(ledger, card.id), _asked(task)))
        if held != kind and (held, kind) not in MADE:
            raise ConfigError(
                f"the snapshot {task.snapshot!r} has single outputs, and this method learns from pairs",
                remedy="make one of pairs: `farm snapshot NAME` without --unpaired",
            )
    elif task.set_name is None:
        raise ConfigError(f"this method learns from {kind}", remedy="name a --set of instructions")
    else:
        records = _from_set(ledger, task.set_name, kind)
    if not records:
        raise ConfigError(f"there are no {kind} to learn from", where=task.snapshot or task.set_name or "")
    kept_out = {key for key, _ in records if keyed_uniform("held out", key) < task.held_out}
    train_rows = [record for key, record in records if key not in kept_out]
    data = Data(train_rows, [record for key, record in records if key in kept_out], processes)
    made = data if held == kind else data.made(MADE[held, kind])
    if train_rows and not made.train:
        remedy = "judge all pairs of an instruction's outputs, or rate two of them or more"
        raise ConfigError(f"there are no {kind} to learn from", where=task.snapshot or "", remedy=remedy)
    return made


def snapshot_records(ledger: Ledger, card: SnapshotCard) -> tuple[DataKind, list[SnapshotRecord]]:
    """What a snapshot holds, pairs or judged outputs, each with the key of its instruction."""
    if card.unpaired:
        return "judged", [
            (each.instruction.key, JudgedOutput(Prompt.of(each.instruction), each.output, each.label))
            for each in rated(ledger, card.id)
        ]
    pairs = (
        (each.instruction, (each.output_a, each.output_b, each.label))
        for each in training.labelled(ledger, card.id)
    )
    return "pairs", [(asked.key, PreferencePair(Prompt.of(asked), *judged)) for asked, judged in pairs]


def _attributed(ledger: Ledger, card: SnapshotCard) -> list[tuple[str, AttributedOutput]]:
    """The outputs of a snapshot of ratings with the rating of each attribute."""
    return [
        (each.instruction.key, AttributedOutput(Prompt.of(each.instruction), each.output, each.labels))
        for each in rated_attributes(ledger, card.id)
    ]


def _from_set(ledger: Ledger, name: str, kind: DataKind) -> list[tuple[str, object]]:
    """The demonstrations or the prompts of a set, with the keys of the instructions."""
    if kind == "demonstrations":
        return [
            (each.instruction.key, Demonstration(Prompt.of(each.instruction), each.output))
            for each in training.demonstrated(ledger, name)
        ]
    return [(each.key, Prompt.of(each)) for each in training.instructed(ledger, name)]
