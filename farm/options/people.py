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


class Buyable(Options):
    """Who may be bought."""

    annotators: tuple[str, ...] = option((), argument=True, metavar="[ANNOTATOR]...", names="judged")
    """These annotators; else everybody there is but people and gold standards."""


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


class Planning(Options):
    """What labels are planned for, and what may be paid."""

    half_width: float = option(above=0, below=0.5)
    """Intervals of +- this share: 0.02 is 2 points."""
    of: Literal["win-rate", "agreement", "alpha", "gap"] = "win-rate"
    """win-rate: of each model, or of --model. agreement: of annotators with people. alpha: among people.
    gap: P(better beats worse) of neighbours in the Bradley-Terry ranking by people."""
    people: int | None = option(None, at_least=1)
    """So many people on each question; else the number that needs the fewest labels."""
    pool: int | None = option(None, at_least=1)
    """So many questions could be had; else those of the ledger."""
    budget: float | None = option(None, at_least=0)
    """What annotators may cost together, in US dollars."""
    price: tuple[str, ...] = option((), metavar="NAME=DOLLARS")
    """What an annotator costs for one question; else what the ledger says. Repeat it."""
    label_price: float | None = option(None, above=0)
    """What a person's label costs, in US dollars; then the whole bill is made small, not the labels alone."""
    assurance: float = option(0.9, above=0.5, below=1)
    """The share of studies whose intervals are to be that narrow."""
    runs: int = option(400, at_least=100, at_most=10_000)
    """Simulated pilots."""
    seed: int = 0
    """Seed of the simulation."""

    def problems(self) -> list[str]:
        """What does not go together, one clause each."""
        found = []
        if self.of != "win-rate" and (self.budget is not None or self.price):
            found.append(f"--budget and --price buy annotators for a win rate; --of {self.of} needs none")
        if self.of == "alpha" and self.people == 1:
            found.append("--people 1, expected 2 or more: alpha compares people on one question")
        return found + [each for name in self.price if (each := _wrong_price(name))]

    def prices(self) -> dict[str, float]:
        """The prices that were told, by annotator."""
        told = (each.rpartition("=") for each in self.price)
        return {name: float(dollars) for name, _, dollars in told}


def _wrong_price(told: str) -> str:
    name, _, dollars = told.rpartition("=")
    try:
        right = bool(name) and 0 <= float(dollars) < float("inf")
    except ValueError:
        right = False
    return "" if right else f"--price {told!r}, expected a name and dollars for one question: judge=0.002"
