"""Write a run's metrics to TensorBoard or trackio, by accelerate's trackers. The ledger always has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from db.errors import ConfigError
from farm.training.loop import Log

PROJECT = "preference-farm"  # in trackio, which keeps its runs in a place of its own


@contextmanager
def tracked(name: str, folder: Path) -> Iterator[Log]:
    """A log that writes to `tensorboard` (in the run's folder), `trackio`, or `none`.

    In TensorBoard a resumed run removes what an earlier try logged about the same steps. Raises ConfigError
    where the program is not installed.
    """
    if name != "none" and find_spec(name) is None:
        raise ConfigError(f"{name} is not installed", where="track", remedy=f"pip install {name}")
    running: list[Any] = []

    def log(step: int, metrics: Mapping[str, float]) -> None:
        if name == "none":
            return
        if not running:
            running.append(_begun(name, folder, step))
        running[0].log(dict(metrics), step=step)

    try:
        yield log
    finally:
        for tracker in running:
            tracker.finish()


def _begun(name: str, folder: Path, step: int) -> Any:
    from accelerate.tracking import (  # type: ignore[import-untyped]
        TensorBoardTracker,
        TrackioTracker,
    )

    if name == "tensorboard":
        tracker = TensorBoardTracker(name, logging_dir=folder, purge_step=step)
    else:
        tracker = TrackioTracker(PROJECT, name=folder.name, resume="allow")
    tracker.start()
    return tracker
