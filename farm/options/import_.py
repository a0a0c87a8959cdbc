"""Which files are imported, and facts that they lack: the options of `farm import`."""

from __future__ import annotations

from pathlib import Path

from db.records import AnnotatorKind, Use
from farm.settings.checked import Options
from farm.settings.fields import option


class Files(Options):
    """Which files."""

    format_name: str = option(argument=True, metavar="[FORMAT]", names="format")
    """The files' format, see docs/import.md; `auto`, or none, guesses it."""
    paths: tuple[Path, ...] = option((), argument=True, metavar="PATH...")
    """Files or folders; - reads standard input."""


class ImportOptions(Options):
    """What the user says of files whose format does not say it; None leaves it to the file."""

    source: str | None = option(None, names="source")
    """Name the source, where the format does not."""
    annotator: str | None = option(None, names="judged")
    """Name the annotator, where the format does not."""
    kind: AnnotatorKind | None = None
    """The annotator's kind."""
    set_name: str | None = option(None, flag="--set", names="set")
    """Name the set of the instructions."""
    use: Use | None = None
    """What the set is for."""


class TableOptions(Options):
    """Which columns of a table fill which places: for the format `table`. Without a mapping it is guessed."""

    maps: tuple[str, ...] = option((), flag="--map", metavar="PLACE=COLUMN")
    """A column for a place, such as prompt, output_1, output_2, annotator; again for each."""
    verdict: str | None = option(None, metavar="COLUMN:VALUE=MEANING,...")
    """The column of verdicts and what its values mean: first, second, tie or none; COLUMN:1..5 is a scale."""
    save_map: str | None = option(None, metavar="NAME")
    """Write the mapping to NAME.map.json."""
    saved_map: str | None = option(None, metavar="NAME")
    """Take the mapping of NAME.map.json."""
    yes: bool = False
    """Take a guessed mapping without asking."""

    def problems(self) -> list[str]:
        """See the base class."""
        return ["--saved-map and --map exclude each other"] if self.saved_map and self.maps else []
