"""Train a reference method from the ledger: `farm train METHOD`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic

import numpy as np

from db.errors import ConfigError, Paused, did_you_mean
from db.ids import Json, content_hash
from db.ledger import Ledger
from db.queries import training
from farm.config import Option, TrainConfig, build, options, read_yaml
from farm.methods import METHODS, load
from farm.methods.robust_dpo import RobustDPOConfig
from farm.models.footprint import bytes_on_disk
from farm.models.loading import pick_device, source_key
from farm.options.train import TrainTask as TrainTask
from farm.progress import Progress, silent
from farm.runs.evaluations import Evaluated, Evaluations
from farm.runs.foreseen import Listeners, evaluations_plan
from farm.runs.judges import JudgesOfRun, RunAnnotators, by_annotators, run_annotators
from farm.runs.records import learning_data
from farm.runs.rows import RunRows
from farm.runs.rules import constraints_key, constraints_named, reward_key, reward_named
from farm.runs.served import check_rollouts, served_draws
from farm.snapshot import snapshot_named
from farm.statistics.agreement import categories
from farm.statistics.reliability import flip_rate
from farm.training.checkpoint import RunFolder
from farm.training.data import Data
from farm.training.foreseen import Foresight, RunPlan, refuse_weights
from farm.training.loop import Log, fit, never
from farm.training.method import FROZEN, Trainer
from farm.training.pace import Pace
from farm.training.processes import Processes
from farm.training.run_models import LoadedModels
from farm.training.timed_steps import timed
from farm.training.tracking import tracked


@dataclass(frozen=True)
class TrainReport:
    """The result of a run. metrics: the last value of each. seconds: from the loading of the models on.

    evaluated: evaluations during training, with the best checkpoint, where some were asked for.
    """

    method: str
    run: int
    steps: int
    checkpoint: str
    rows: int
    held_out: int
    metrics: dict[str, float]
    seconds: float
    evaluated: Evaluated | None = None

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
    config = config_of(ledger, method_class, name, task=task, yaml=yaml, flags=flags, progress=progress)
    begun = monotonic()
    judging_by = run_annotators(ledger, method_class, task)
    with Processes.joined() as processes, tracked(config.track, task.folder) as track:
        data = learning_data(ledger, method_class.data_kind, task, processes)
        folder = RunFolder(task.folder, config, processes, _inputs(ledger, task, judging_by))
        called = f"{name} {folder.identity[:12]}"
        evaluations = _evaluations(ledger, task, config, name=called, folder=folder, progress=progress)
        judges = judging_by.begin(ledger, task, config, called)
        run_to_be = _loaded(ledger, name, method_class, config, task=task, data=data, judges=judges)
        run_to_be.refuse(run_to_be.plan(task.memory))
        method = run_to_be.method
        others = [track, shown(name, method.feed.steps, Pace(method, config), progress)]
        rows = partial(RunRows, ledger, name, config, task=task, processes=processes, others=others)
        run = rows(judges=judges, evaluations=evaluations)
        folder.before_save = run.flush
        try:
            stops = evaluations.begin(method, run, processes) if evaluations else never
            steps = fit(method, config, run, checkpoints=folder, processes=processes, stops=stops)
            if summary := method.summary():
                run(steps, summary)
        except Paused as error:
            run.pause(folder)
            error.what = f"{error.what}; the checkpoint is {folder.latest}"
            raise
        finally:
            run.flush()
        run.finish(steps, folder.latest)
        evaluated = evaluations.result() if evaluations else None
        if evaluated and evaluated.best:
            run.keep(evaluated.best.step, evaluated.best.path)
    return TrainReport(
        method=name,
        run=run.id,
        steps=steps,
        checkpoint=folder.latest,
        rows=len(data.train),
        held_out=len(data.held_out),
        metrics=run.last,
        seconds=monotonic() - begun,
        evaluated=evaluated,
    )


def foresee(
    ledger: Ledger,
    name: str,
    task: TrainTask,
    yaml: Path | None,
    flags: Mapping[str, str],
    progress: Progress = silent,
) -> RunPlan:
    """What the run of `train` would take, after a few timed steps on a copy. Nothing is written or asked.

    An annotator's judgements are replaced by ties, so the time is without it; they are counted. Where a
    server draws, no step is timed. Raises ConfigError as `train` does, also where the run does not fit.
    """
    method_class = method_named(name)
    config = config_of(ledger, method_class, name, task=task, yaml=yaml, flags=flags, progress=progress)
    begun = monotonic()
    data = learning_data(ledger, method_class.data_kind, task, Processes())
    listeners = Listeners.of(method_class, task)
    judges = listeners.begin(ledger)
    run = _loaded(ledger, name, method_class, config, task=task, data=data, judges=judges, keeps=False)
    plan, loading = run.plan(task.memory), monotonic() - begun
    run.refuse(plan)
    plan = replace(
        plan, evaluations=evaluations_plan(ledger, task, config, method=run.method, progress=progress)
    )
    if run.served:
        return plan
    progress(f"{name}: a few steps on a copy", 0)
    time = timed(run.method, config, loading)
    return replace(plan, time=time, judging=listeners.plan(task, run.method))


def config_of(
    ledger: Ledger,
    method: Trainer,
    name: str,
    *,
    task: TrainTask,
    yaml: Path | None,
    flags: Mapping[str, str],
    progress: Progress,
) -> TrainConfig:
    """The method's options. Raises ConfigError with all that is wrong with them, or with the models."""
    sources = [read_yaml(yaml)] if yaml else []
    where = ([str(yaml)] if yaml else []) + ["flags"]
    config = build(method.Config, *sources, flags, where=where)
    _check_models(name, method, task)
    check_rollouts(name, method, task.rollouts, config)
    return _with_flip_rate(ledger, config, task, progress)


def _loaded(
    ledger: Ledger,
    name: str,
    method: Trainer,
    config: TrainConfig,
    *,
    task: TrainTask,
    data: Data[object],
    judges: JudgesOfRun,
    keeps: bool = True,
) -> Foresight:
    """The run with its models loaded. keeps: keep the reference's log-probabilities for later runs.

    Raises ConfigError before anything is loaded where not even the weights fit.
    """
    models = LoadedModels(
        task.model,
        config,
        reference=task.reference,
        reward=reward_named(task.reward) if task.reward else None,
        judge=judges.fresh,
        token_reward=task.token_reward,
        teacher=task.teacher,
        constraints=constraints_named(ledger, task.constraints),
        compared=judges.compared,
        keep=task.folder / "reference" if keeps else None,
        served=served_draws(task.rollouts, task.folder),
    )
    trained = bytes_on_disk(task.model, config.dtype) * (1 if config.lora_rank else 4)
    refuse_weights(trained + models.loaded_at_once(method.needs), pick_device(config.device), task.memory)
    made = method(config, data, models)
    return Foresight(name, made, config, later=models.still_to_load(method.needs))


def _evaluations(
    ledger: Ledger, task: TrainTask, config: TrainConfig, *, name: str, folder: RunFolder, progress: Progress
) -> Evaluations | None:
    if task.evaluating.every is None:
        return None
    return Evaluations(ledger, task, config, name=name, folder=folder, progress=progress)


def _inputs(ledger: Ledger, task: TrainTask, annotators: RunAnnotators) -> str:
    """A hash of what a run starts from: its models, its data, who judges."""
    further = [source for source in (task.token_reward, task.teacher) if source]
    beside: list[Json] = [task.demonstrations] if task.demonstrations else []
    drawn = task.rollouts
    beside += constraints_key(task.constraints)
    beside += [["served", drawn.rollout_every, drawn.rollout_cap]] if drawn.rollout_url else []
    named = [source_key(task.model), source_key(task.reference), reward_key(task.reward)]
    named += map(source_key, further)
    data = snapshot_named(ledger, task.snapshot).key if task.snapshot else task.set_name or ""
    return content_hash("inputs", [*named, data, *annotators.key(task.judging.replicates), *beside])


def _check_models(name: str, method: Trainer, task: TrainTask) -> None:
    """Raises ConfigError on a model or judge that the method does not ask for, and where one is missing."""
    judged = "judge" in method.needs
    for need, what in FROZEN.items():
        given, flag = getattr(task, need), f"--{need.replace('_', '-')}"
        if given and need not in method.needs and not (judged and need == "reward"):
            raise ConfigError(f"{name} asks no {what}", where=flag, remedy=f"leave {flag} out")
        if not given and need in method.needs and need != "reference":
            raise ConfigError(f"{name} needs a {what}", remedy=f"name one with {flag}")
    if task.demonstrations and "demonstrations" not in method.needs:
        remedy = "leave --demonstrations out, or train feedme or ppo_ptx"
        raise ConfigError(f"{name} imitates no demonstrations", where="--demonstrations", remedy=remedy)
    if task.constraints and "constraints" not in method.needs:
        remedy = "leave --constraint out, or train crpg, codpo or crraft"
        raise ConfigError(f"{name} heeds no constraint", where="--constraint", remedy=remedy)
    if task.annotator and not judged and method.data_kind != "questions":
        what, remedy = f"{name} asks no annotator, and learns no annotator's prompt", "leave --annotator out"
        raise ConfigError(what, where="--annotator", remedy=remedy)
    if task.max_judgements and not ((judged and task.annotator) or any(by_annotators(task.constraints))):
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


def shown(name: str, steps: int, pace: Pace, progress: Progress) -> Log:
    """A log that shows metrics as progress: the step that training is at, its loss, and how fast it goes."""

    def log(step: int, metrics: Mapping[str, float]) -> None:
        if "loss" in metrics:
            progress(f"{name}; {pace.figures(metrics)}", step, steps)

    return log
