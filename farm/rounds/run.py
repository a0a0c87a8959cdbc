"""Rounds of drawing, judging and learning: `farm train METHOD --rounds N`.

Round k draws outputs from the policy of round k - 1, lets an annotator judge them, freezes what was said and
trains on it. Every step is the one of its own command, and its rows are in the ledger under the name of the
run and the round. The reference of a round is the model that it begins with, as in iterative DPO (Xu et al.
2023, arXiv 2312.16682) and in eva (Ye et al. 2024, arXiv 2411.00062); one that is named stays in all rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import comb
from pathlib import Path

from annotators.composite import questions_of
from db.errors import ConfigError, Paused
from db.ids import Json, content_hash
from db.ledger import Ledger
from farm.annotate import loaded
from farm.config import TrainConfig
from farm.judging.at_work import AnnotatorAtWork
from farm.methods import REWARD_MODELS
from farm.models.loading import source_key
from farm.options.rounds import Rounds
from farm.options.train import TrainTask
from farm.progress import Progress, silent
from farm.rounds.instructions import instructions_of
from farm.rounds.judged import JudgedRounds
from farm.runs.judges import at_work
from farm.train import TrainReport, config_of, method_named, train
from farm.training.checkpoint import RunFolder
from farm.training.method import DataKind
from farm.training.processes import Processes

ROUNDS_OF: tuple[DataKind, ...] = ("pairs", "judged", "groups")
"""The data kinds that a snapshot of judged pairs gives, for methods that make a policy."""
NO_POLICY = REWARD_MODELS - {"implicit_prm"}  # whose reward is the log-ratio of a policy
"""The methods that make a judge, which cannot draw the next round."""


@dataclass(frozen=True)
class RoundReport:
    """A round. name: of its set, outputs, pairs and snapshot. cost: of its judgements, US dollars at most."""

    name: str
    instructions: int
    judgements: int
    cost: float
    trained: TrainReport


@dataclass(frozen=True)
class RoundsReport:
    """The result of a run of rounds, in order."""

    rounds: tuple[RoundReport, ...]

    def to_json(self) -> Json:
        """The report as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class RoundsPlan:
    """What each of `rounds` rounds takes: instructions, outputs that are drawn, judgements at most."""

    rounds: int
    instructions: int
    outputs: int
    judgements: int

    def to_json(self) -> Json:
        """The plan as a JSON object."""
        return {**asdict(self), "judgements_in_all": self.rounds * self.judgements}


def train_in_rounds(
    ledger: Ledger,
    name: str,
    task: TrainTask,
    yaml: Path | None,
    flags: Mapping[str, str],
    progress: Progress = silent,
) -> RoundsReport:
    """Go through all rounds, from where an earlier process of the run ended. name: of the method.

    Raises ConfigError on options that cannot be, before anything is drawn; RunStopped where a budget or the
    provider ends the run in a round, which the same command goes on with; and as `train` does.
    """
    config = _configured(ledger, name, task, yaml=yaml, flags=flags)
    worker = at_work(ledger, str(task.annotator), task.judging, task.provider, flag="--annotator")
    called = f"{name} {_identity(task, config, worker)[:12]}"
    judged = JudgedRounds(ledger, task, config, worker, name=called, progress=progress)
    made, model = list[RoundReport](), task.model
    for number in range(1, (task.rounds.count or 0) + 1):
        try:
            snapshot = judged.snapshot(number, model)
        except Paused as error:
            error.where = f"round {number}"
            raise
        folder = task.folder / f"round-{number}"
        wanted = replace(_alone(task), model=model, folder=folder, snapshot=snapshot)
        trained = train(ledger, name, wanted, yaml, flags=flags, progress=progress)
        model = f"{trained.checkpoint}/model"
        bought = judged.bought(number)
        made.append(
            RoundReport(
                snapshot,
                instructions=judged.instructions(number),
                judgements=bought.judgements,
                cost=bought.cost,
                trained=trained,
            )
        )
    return RoundsReport(tuple(made))


def foresee_rounds(
    ledger: Ledger, name: str, task: TrainTask, yaml: Path | None, flags: Mapping[str, str]
) -> RoundsPlan:
    """What `train_in_rounds` would draw and ask. Nothing is loaded, written or asked. Raises ConfigError."""
    _configured(ledger, name, task, yaml=yaml, flags=flags)
    annotator = loaded(str(task.annotator), task.judging, task.provider)
    given, wanted = len(instructions_of(ledger, task)), task.rounds
    size = min(wanted.prompts or given, given)
    pairs = size * comb(wanted.draws, 2)
    return RoundsPlan(
        wanted.count or 0,
        instructions=size,
        outputs=size * wanted.draws,
        judgements=pairs * task.judging.replicates * questions_of(annotator),
    )


def _configured(
    ledger: Ledger, name: str, task: TrainTask, *, yaml: Path | None, flags: Mapping[str, str]
) -> TrainConfig:
    """The method's options, after all that can be refused before anything is drawn."""
    trainer = method_named(name)
    refuse(name, trainer.data_kind, task)
    instructions_of(ledger, task)
    return config_of(ledger, trainer, name, task=_alone(task), yaml=yaml, flags=flags, progress=silent)


def _alone(task: TrainTask) -> TrainTask:
    """The task of one round without its model, folder and snapshot."""
    return replace(task, set_name=None, annotator=None, max_judgements=None, rounds=Rounds())


def refuse(name: str, kind: DataKind, task: TrainTask) -> None:
    """Raise ConfigError on a method that has no rounds, and on options that do not go with them."""
    if kind not in ROUNDS_OF or name in NO_POLICY:
        what = f"{name} learns from no judged pairs that its own policy could draw"
        if kind == "instructions":
            what = f"{name} draws and is judged while it trains, and has no rounds beside that"
        raise ConfigError(what, where="--rounds", remedy="leave --rounds out, or train dpo or its like")
    if task.annotator is None:
        raise ConfigError("nobody judges the rounds", where="--rounds", remedy="name an --annotator")
    if task.set_name is None or task.snapshot is not None:
        what = "rounds draw outputs to a set of instructions, and make snapshots of their own"
        raise ConfigError(what, where="--rounds", remedy="name a --set, and no --snapshot")
    if task.evaluating.every is not None:
        what = "an instruction that an earlier round learnt from could be evaluated in a later one"
        remedy = "leave it out, and compare the rounds with `farm evaluate`"
        raise ConfigError(what, where="--evaluate-every", remedy=remedy)
    with Processes.joined() as processes:
        if processes.size > 1:
            raise ConfigError(
                "rounds run in one process", where="--rounds", remedy="start it without torchrun"
            )


def _identity(task: TrainTask, config: TrainConfig, worker: AnnotatorAtWork) -> str:
    """A hash of all that can change what a round draws, who judges it and what is learnt.

    The number of rounds is not in it, so that a run can go on with more of them.
    """
    drawn = replace(task.rounds, count=1)
    models = [source_key(each) for each in (task.model, task.reference)]
    told: list[Json] = [*models, task.set_name, task.held_out, asdict(drawn)]
    judges: list[Json] = [worker.annotator.card.key, task.judging.replicates]
    return RunFolder(task.folder, config, inputs=content_hash("rounds", [*told, *judges])).identity
