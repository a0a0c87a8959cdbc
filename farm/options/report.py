"""What the page is about: the options of `farm report`."""

from __future__ import annotations

from pathlib import Path

from farm.settings.checked import Options
from farm.settings.fields import option


class ReportOptions(Options):
    """What the report is about."""

    source: str | None = option(None, names="source")
    """Only what was imported from this source."""
    subset: str | None = option(None, names="subset")
    """Only this subset of it."""
    subject: str = "Preference Farm"
    """What the page is about."""
    pairs: int = option(40, at_least=0)
    """Disagreements shown, at most."""
    study: Path | None = None
    """Results of a validation: its study.json."""


class Pages(Options):
    """What is written."""

    out: Path | None = option(None, argument=True, metavar="[OUT.html]")
    """The page to write."""
    figures: Path | None = None
    """Write each figure as PDF, PNG and CSV here."""
