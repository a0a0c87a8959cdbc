"""Which files are imported, and facts that they lack: the options of `farm import`."""

from __future__ import annotations

from pathlib import Path

from db.records import AnnotatorKind, Use
from farm.settings.checked import Options
from farm.settings.fields import option


class Files(Options):
    """Which files."""

    format_name: str = option(argument=True, metavar="FORMAT")
    """The files' format; see docs/import.md."""
    paths: tuple[Path, ...] = option(argument=True, metavar="PATH...")
    """Files or folders."""


class ImportOptions(Options):
    """What the user says of files whose format does not say it; None leaves it to the file."""

    source: str | None = None
    """Name the source, where the format does not."""
    annotator: str | None = None
    """Name the annotator, where the format does not."""
    kind: AnnotatorKind | None = None
    """The annotator's kind."""
    set_name: str | None = option(None, flag="--set")
    """Name the set of the instructions."""
    use: Use | None = None
    """What the set is for."""
