"""Who is imitated, by which judge, and what tells it of them: the options of `farm annotators imitate`."""

from __future__ import annotations

from pathlib import Path

from farm.settings.checked import Options
from farm.settings.fields import option

MOST_SHOTS = 32


class ImitateTask(Options):
    """Who is imitated, by which judge, and what tells it of them."""

    judge: str = option(argument=True, names="catalogue")
    """A language model that judges, by its name in the catalogue or by its path."""
    out: Path = option()
    """The folder to write; its name is the beginning of the members' names."""
    person: tuple[str, ...] = option((), names="judged")
    """Imitate this person; repeat it for several. Else everybody who judged enough."""
    shots: int = option(8, at_least=0, at_most=MOST_SHOTS)
    """Earlier judgements of the person in the prompt."""
    personas: Path | None = None
    """A CSV file with the columns person and persona: a text about each person, for the prompt."""
    source: str | None = option(None, names="source")
    """Only what was imported from this source."""
    subset: str | None = option(None, names="subset")
    """Only this subset of it."""
    held_out: float = option(0.5, above=0, below=1)
    """Share of the instructions to check on."""
    limit: int | None = option(None, at_least=1)
    """Pairs of each person to check on, at most."""
    temperature: float = option(1.0, at_least=0, at_most=2)
    """Of all that are compared."""
    level: float = option(0.95, above=0.5, below=1)
    """Level of the intervals of differences."""
    seed: int = 0
    """Seed of the split, and of which judgements are shown."""

    def problems(self) -> list[str]:
        """Options that cannot stand together."""
        if self.shots or self.personas:
            return []
        return ["nothing tells one person from another: --shots 1 or more, or --personas FILE"]


class ImitateManner(Options):
    """Whether work is only planned."""

    dry_run: bool = False
    """Say what it would ask and cost."""
