"""Which pool is fitted to whom: the options of `farm annotators calibrate`."""

from __future__ import annotations

from pathlib import Path

from farm.settings.checked import Options
from farm.settings.fields import option


class CalibrateTask(Options):
    """Which pool is fitted to whom, and on which questions."""

    pool: str = option(argument=True, names="catalogue")
    """A pool, by its name in the catalogue or by its path."""
    out: Path = option()
    """The pool file to write; its name is the new pool's."""
    source: str | None = option(None, names="source")
    """Only what was imported from this source."""
    subset: str | None = option(None, names="subset")
    """Only this subset of it."""
    reference: str = option("human", names="group judged")
    """human, or the name of the annotator to follow."""
    held_out: float = option(0.5, above=0, below=1)
    """Share of the instructions to check on."""
    draws: int = option(1000, at_least=0)
    """No effect: the bounds need no draws any more. It goes in the next version."""
    seed: int = 0
    """Seed of the split and of the bootstrap."""
    models: tuple[str, ...] = option((), flag="--model")
    """The model to ask, or SLOT=MODEL; repeat it for several slots."""
    local: bool = False
    """As `farm annotate --local`."""
