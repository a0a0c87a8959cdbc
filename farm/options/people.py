"""Which judgements an estimate about people counts, and how: the options of `farm people`."""

from __future__ import annotations

from typing import Literal

from farm.settings.checked import Options
from farm.settings.fields import option


class Scope(Options):
    """Which pairs count."""

    source: str | None = option(None, names="source")
    """Only what was imported from this source."""
    subset: str | None = option(None, names="subset")
    """Only this subset of it."""
    model: str | None = option(None, names="producer")
    """The win rate of this producer; else of each question's first output."""
    against: str | None = option(None, names="producer")
    """Only pairs with this producer."""


class ComparedAnnotators(Options):
    """Who is compared with people."""

    annotators: tuple[str, ...] = option((), argument=True, metavar="[ANNOTATOR]...", names="judged")
    """These annotators; else everybody there is to compare."""


class Beside(Options):
    """Who stands beside people."""

    annotator: str = option(argument=True, names="judged")
    """The annotator that stands beside people."""


class Replacing(Options):
    """The alternative annotator test."""

    epsilon: tuple[float, ...] = (0.1, 0.15, 0.2)
    """What not asking a person is worth; else .1, .15 and .2 for crowd workers, skilled ones and experts."""
    min_items: int = option(30, at_least=2)
    """Items that a person needs to be tested."""


class Estimating(Options):
    """What people's few labels are planned for, and how they were picked."""

    half_width: float | None = None
    """Plan the labels for an interval of +- this share."""
    chosen: Literal["random", "doubt"] = "random"
    """How labelled pairs were picked: random, or doubt (`farm people next`)."""


class Labelling(Options):
    """How many pairs come next."""

    n: int = option(20, at_least=1)
    """So many pairs."""


class Evaluators(Options):
    """Two evaluators to compare."""

    a: str = option(names="group judged")
    """An annotator, or human, or gold."""
    b: str = option(names="group judged")
    """Another one."""


class Bootstrap(Options):
    """How intervals are drawn."""

    draws: int = option(1000, at_least=0)
    """Bootstrap draws for the intervals."""
    seed: int = 0
    """Seed of the bootstrap."""
