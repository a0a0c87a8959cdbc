"""The annotator and the manner: the options of `farm annotate` beside Task and Provider."""

from __future__ import annotations

from farm.options.audit import BenchmarkName
from farm.settings.checked import Options
from farm.settings.fields import option


class AnnotatorChoice(Options):
    """Who judges."""

    annotator: str = option(argument=True, names="catalogue")
    """A name of the catalogue: see `farm annotators`."""


class Manner(Options):
    """Whether members judge alone, and whether work is only planned."""

    members: bool = False
    """Let each member of the pool judge all pairs, by itself."""
    dry_run: bool = False
    """Say what it would ask and cost."""
    benchmark: BenchmarkName | None = None
    """Judge this imported benchmark, and say what its own rule makes of it."""

    def problems(self) -> list[str]:
        """See the base class."""
        alone = self.benchmark is None or not self.members
        return [] if alone else ["--benchmark and --members exclude each other: a benchmark scores a whole"]
