"""Which attacks are tried: the options of `farm robustness`."""

from __future__ import annotations

from typing import Annotated

from farm.judging.provider import Task
from farm.settings.checked import Options
from farm.settings.fields import Part, option


class RobustnessTask(Options):
    """Which annotators judge which attacks, and whose outputs are attacked."""

    annotators: tuple[str, ...] = option((), flag="--annotator", names="catalogue")
    """Only these annotators of the catalogue; repeat it. Else those of it that have judged here."""
    against: str | None = option(None, names="producer")
    """The honest producer; else the one with most outputs."""
    attacks: tuple[str, ...] = option((), flag="--attack", names="attack")
    """Only these attacks; repeat it."""
    suspects: tuple[str, ...] = option((), flag="--suspect", names="producer")
    """A producer of the ledger that should lose; repeat it."""
    set_name: str | None = option(None, flag="--set", names="set")
    """Only instructions of this set."""
    instructions: int | None = option(100, at_least=1)
    """At most so many instructions, by keyed draw."""
    largest: float = option(0.1, at_least=0, below=0.5)
    """The win rate that a null may have."""
    task: Annotated[Task, Part(only=("orders", "utility"))] = Task()
    """How each attack is judged, and by which utility."""
