"""Who judges, and whether it is only planned: the options of `farm annotate` beside Task and Provider."""

from __future__ import annotations

from farm.settings.checked import Options
from farm.settings.fields import option


class AnnotatorChoice(Options):
    """Who judges."""

    annotator: str = option(argument=True)
    """A name of the catalogue: see `farm annotators`."""


class Manner(Options):
    """How the command goes about it."""

    members: bool = False
    """Let each member of the pool judge all pairs, by itself."""
    dry_run: bool = False
    """Say what it would ask and cost."""
