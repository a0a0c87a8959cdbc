"""Training runs, with the data that they learnt from, and their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
from sqlalchemy import func, select

from db.ledger import Ledger
from db.records import Run
from db.tables import CHECKPOINT, METRIC, RUN, SNAPSHOT

CLOCKED: Final = ("seconds/", "tokens_per_second")
"""How the names of metrics begin that follow the clock: an equal run has other values."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A training run as the ledger stores it."""

    id: int
    run: Run
    snapshot: str | None  # name of the snapshot that it learnt from
    steps: int | None  # step of the last checkpoint; None without a checkpoint


def runs(ledger: Ledger) -> list[Trained]:
    """Every run, in the order in which they began."""
    done = select(CHECKPOINT.c.run_id, func.max(CHECKPOINT.c.step).label("steps")).group_by(
        CHECKPOINT.c.run_id
    )
    steps = done.subquery()
    query = (
        select(RUN, SNAPSHOT.c.name, steps.c.steps)
        .outerjoin(SNAPSHOT, SNAPSHOT.c.id == RUN.c.snapshot_id)
        .outerjoin(steps, steps.c.run_id == RUN.c.id)
        .order_by(RUN.c.id)
    )
    found = []
    for row in ledger.stream(query):
        run = Run(
            command=row.command,
            config=row.config,
            version=row.version,
            model=row.model,
            folder=row.folder,
            started=row.started,
            seed=row.seed,
            snapshot_id=row.snapshot_id,
            set_name=row.set_name,
        )
        found.append(Trained(row.id, run, row.name, row.steps))
    return found


def parent(trained: Trained, among: Sequence[Trained]) -> Trained | None:
    """The run in whose folder the model that this one started from lies; None where there is none."""
    model = Path(trained.run.model)
    others = (each for each in among if each.id != trained.id)
    return next((each for each in others if model.is_relative_to(each.run.folder)), None)


def metrics(ledger: Ledger) -> pd.DataFrame:
    """Every logged metric: run (id), step, name, value."""
    query = select(METRIC.c.run_id, METRIC.c.step, METRIC.c.name, METRIC.c.value).order_by(
        METRIC.c.run_id, METRIC.c.step
    )
    rows = [tuple(row) for row in ledger.stream(query)]
    return pd.DataFrame(rows, columns=["run", "step", "name", "value"])
