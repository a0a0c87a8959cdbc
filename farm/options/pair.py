"""Which outputs meet: the options of `farm pair`."""

from __future__ import annotations

from typing import Literal

from db.records import Source
from farm.settings.checked import Options
from farm.settings.fields import option


class PairTask(Options):
    """Which outputs meet."""

    name: str = option(argument=True)
    """The source that the pairs stand under."""
    sources: tuple[Source, ...] = option((), flag=None)
    """Whose outputs meet."""
    set_name: str | None = option(None, flag="--set", names="set")
    """Only instructions of this set."""
    against: Source | None = option(None, flag=None)
    """Each output meets one of this source's."""
    how: Literal["derangement", "all"] = "derangement"
    """derangement, AlpacaFarm's way: along a random cycle through an instruction's outputs; or all."""
    per_instruction: int = option(1, at_least=1)
    """Pairs of a derangement; those that share no output come first."""
    seed: int = option(0, at_least=0)
    """Seed of the derangement."""


class Producers(Options):
    """The same sources by the names of their producers: the latest decoding of each."""

    of: tuple[str, ...] = option(names="producer")
    """A producer whose outputs meet; repeat it."""
    against: str | None = option(None, names="producer")
    """Each output meets one of this producer's."""
