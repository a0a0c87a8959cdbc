"""Which studies are compared: the options of `farm validate`."""

from __future__ import annotations

from pathlib import Path

from farm.settings.checked import Options
from farm.settings.fields import option


class ValidateTask(Options):
    """The model, data and judges of the two studies."""

    model: str
    """The supervised model whose outputs were judged: a directory or a hub id."""
    pairs: str = option(names="source")
    """The source of the judged pairs."""
    unlabelled: str = option(names="set")
    """The set of instructions that methods draw on."""
    evaluation: str = option(names="set")
    """The set of instructions of the evaluation."""
    out: Path = option()
    """The folder of the runs and of study.json."""
    people: tuple[str, ...] = option((), names="judged")
    """Which people; else all of them."""
    simulators: tuple[str, ...] = option((), required=True, names="catalogue")
    """Whose labels are learnt from; repeat it."""
    evaluators: tuple[str, ...] = option((), names="catalogue")
    """Who judges in the simulated world; else the simulators."""
    recipe: Path | None = None
    """Methods and their options (YAML)."""
    seed: int = option(0, at_least=0)
    """Seed of training and sampling."""
    world: int | None = None
    """Ask the people of the world of this seed."""
    jury: int = option(3, at_least=1, flag=None)
    """People of the world to an evaluated pair."""
    processes: int | None = option(None, at_least=1)
    """Processes side by side; else one a core."""
