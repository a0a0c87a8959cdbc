"""What is fitted to whom: the options of `farm annotators calibrate`."""

from __future__ import annotations

from pathlib import Path

from farm.settings.checked import Options
from farm.settings.fields import option


class CalibrateTask(Options):
    """What is fitted to whom, and on which questions."""

    pool: str = option(argument=True, names="catalogue")
    """A pool, panel, cascade or judge on a scale, by its name in the catalogue or by its path."""
    out: Path = option()
    """The file to write; its name is the new annotator's."""
    source: str | None = option(None, names="source")
    """Only what was imported from this source."""
    subset: str | None = option(None, names="subset")
    """Only this subset of it."""
    reference: str = option("human", names="group judged")
    """human, or the name of the annotator to follow."""
    held_out: float = option(0.5, above=0, below=1)
    """Share of the instructions to check on."""
    promise: float | None = option(None, above=0, below=1)
    """Of a cascade: how often it shall agree with people."""
    level: float = option(0.95, above=0.5, below=1)
    """How certain it shall be that the promise is kept."""
    least_coverage: float = option(0.5, above=0, at_most=1)
    """The share of questions that the cascade has to decide."""
    draws: int = option(1000, at_least=0)
    """No effect: the bounds need no draws any more. It goes in the next version."""
    seed: int = 0
    """Seed of the split and of the bootstrap."""
    models: tuple[str, ...] = option((), flag="--model")
    """The model to ask, or SLOT=MODEL; repeat it for several slots."""
    local: bool = False
    """As `farm annotate --local`."""
