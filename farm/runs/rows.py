"""The rows of a training run in the ledger: what it is, its metrics, its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from db.ids import Json, canonical_json
from db.ledger import Ledger
from db.queries import history, lineage
from db.records import Run
from db.schema import package_version
from farm.config import TrainConfig
from farm.evaluation.cards import model_card_path, write_model_card
from farm.judging.in_training import bought_by
from farm.options.train import TrainTask
from farm.runs.evaluations import Evaluations
from farm.runs.judges import JudgesOfRun
from farm.snapshot import snapshot_named
from farm.training.checkpoint import RunFolder
from farm.training.loop import Log
from farm.training.processes import Processes

METRICS_SECONDS = 1.0
BESIDE = ("reference", "reward", "token_reward", "teacher", "demonstrations", "constraints")
"""What a run's options name beside its model and its data."""


class RunRows:
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
        judges: JudgesOfRun,
        evaluations: Evaluations | None,
        processes: Processes,
        others: Sequence[Log],
    ) -> None:
        """judges: of fresh responses, whose figures are logged. others: where else metrics go."""
        self._ledger, self._first, self._others = ledger, processes.rank == 0, others
        self._judges = judges.every
        self.last: dict[str, float] = {}
        self._waiting: list[tuple[int, Mapping[str, float]]] = []
        self._written = monotonic()
        self.id = 0
        card = snapshot_named(ledger, task.snapshot) if task.snapshot else None
        if self._first:
            chosen: dict[str, Json] = asdict(config) | judges.named()
            chosen |= {"evaluation": evaluations.named} if evaluations else {}
            chosen |= {name: told for name in BESIDE if (told := getattr(task, name))}
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
        if self._judges and "loss" in metrics:
            bought = bought_by(self._judges)
            metrics = {**metrics, "judging/bought": float(bought.judgements), "judging/cost": bought.cost}
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
        """Write the last checkpoint of the run so far."""
        if not self._first:
            return
        if self._steps != step:
            self._write(step, path)
        if self._steps != step or not model_card_path(Path(path)).exists():  # killed before it was written
            write_model_card(self._ledger, self.id, Path(path))

    def keep(self, step: int, path: str) -> None:
        """Write a checkpoint that the run keeps beside its last one, unless it is in the ledger."""
        known = lineage.checkpoints(self._ledger) if self._first else []
        if self._first and not any((each.run_id, each.path) == (self.id, path) for each in known):
            self._write(step, path)
            write_model_card(self._ledger, self.id, Path(path))

    def _write(self, step: int, path: str) -> None:
        with self._ledger.writing() as writer:
            writer.checkpoint(self.id, step, path)
