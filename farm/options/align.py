"""Which judge is aligned to whom: the options of `farm annotators align`."""

from __future__ import annotations

from pathlib import Path

from farm.settings.checked import Options
from farm.settings.fields import option


class AlignTask(Options):
    """Which judge is aligned to whom, by which proposer, and how much is tried."""

    judge: str = option(argument=True, names="catalogue")
    """A language model that judges, by its name in the catalogue or by its path."""
    out: Path = option()
    """The folder to write; its name is the beginning of the candidates' names."""
    people: str = option("human", names="group judged")
    """human, or the name of the annotator to follow."""
    source: str | None = option(None, names="source")
    """Only what was imported from this source."""
    subset: str | None = option(None, names="subset")
    """Only this subset of it."""
    proposer: str = "large"
    """The model that writes rules: a name that the server knows, or a slot."""
    rules: int = option(4, at_least=1, at_most=20)
    """Rules that the proposer writes in a round; each makes a candidate."""
    rounds: int = option(1, at_least=1, at_most=10)
    """Rounds; each goes on from the candidate that is best on the validation side."""
    read: int = option(20, at_least=1, at_most=200)
    """Disagreements of the training side that the proposer reads in a round."""
    train: float = option(0.3, above=0, below=1)
    """Share of the instructions to learn from."""
    validation: float = option(0.3, above=0, below=1)
    """Share of the instructions to choose the winner by; the others test it."""
    limit: int | None = option(None, at_least=1)
    """Pairs of each side, at most."""
    level: float = option(0.95, above=0.5, below=1)
    """Level of the interval that must lie above 0."""
    seed: int = 0
    """Seed of the split, and of which disagreements are read."""

    def problems(self) -> list[str]:
        """Options that cannot stand together."""
        if self.train + self.validation < 1:
            return []
        return ["nothing is left to test on: --train and --validation sum to less than 1"]


class AlignManner(Options):
    """Whether work is only planned."""

    dry_run: bool = False
    """Say what it would ask and cost."""
