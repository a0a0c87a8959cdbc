"""What a run starts from: the options of `farm train` beside the method's own."""

from __future__ import annotations

from pathlib import Path

from farm.settings.checked import Options
from farm.settings.fields import option


class TrainTask(Options):
    """The model and data of a run. model, reference, reward: a directory or a hub id."""

    model: str
    """The model to start from: a directory or a hub id."""
    folder: Path = option(flag="--out")
    """The folder of the run; again, it goes on there."""
    snapshot: str | None = option(None, names="snapshot")
    """The judged pairs to learn from."""
    set_name: str | None = option(None, flag="--set", names="set")
    """The instructions to learn from."""
    reference: str | None = None
    """The reference model, if not --model."""
    reward: str | None = None
    """The reward model, where the method wants one."""
    annotator: str | None = option(None, names="catalogue")
    """Whose prompt the model learns to answer, where the method learns to judge."""
    held_out: float = 0.05
    """Share of the instructions kept for evaluation."""
