"""What `farm import` does where the user names no format or no mapping: it guesses, and says so."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from db.errors import ConfigError, FormatError, did_you_mean
from db.interchange import FORMATS, expand, guess
from db.interchange.files import readable_objects
from db.interchange.instructions import PLAIN
from db.interchange.opening import opened
from db.interchange.rows import Entry, ReadOptions, Refusal, TableMap
from db.interchange.table import arguments, load, mapping_of
from db.interchange.table_guess import GuessedMap, guess_table
from db.interchange.verdicts import parsed

AUTO, TABLE, STDIN = "auto", "table", "-"
WEAK = ("instructions", "outputs")  # a table with an instruction may hold more than these read
PREVIEW = 3  # rows that are shown of a guessed table
BLANK = "WHICH"  # stands for a meaning that the user must say
FEW = 12  # values of a verdict that are listed in a remedy


@dataclass(frozen=True)
class TableChoice:
    """The format of files and, for a table, its mapping.

    open: values of the verdict whose meaning nobody said. preview: the first entries of a guessed table.
    """

    format_name: str
    paths: tuple[Path, ...]
    mapping: TableMap | None = None
    guessed: bool = False
    open: tuple[str, ...] = ()
    preview: tuple[Entry | Refusal, ...] = ()

    @property
    def columns(self) -> Mapping[str, str]:
        """Place -> column."""
        return self.mapping.columns if self.mapping else {}

    @property
    def codes(self) -> Mapping[str, float | None]:
        """Value of the verdict -> P(output_1 preferred)."""
        return self.mapping.codes if self.mapping else {}


class TableWords(Protocol):
    """What a user says of a table: the texts of --map and --verdict, and the names of saved mappings."""

    @property
    def maps(self) -> tuple[str, ...]:
        """Texts of the form PLACE=COLUMN."""

    @property
    def verdict(self) -> str | None:
        """COLUMN:VALUE=MEANING,..."""

    @property
    def saved_map(self) -> str | None:
        """The name of a mapping to take."""

    @property
    def save_map(self) -> str | None:
        """The name that the mapping is written under."""


@contextmanager
def inputs(named: str, paths: tuple[Path, ...]) -> Iterator[tuple[str, tuple[Path, ...]]]:
    """The format's name and the paths. A file in the place of the format is a path; - is standard input.

    What stands on standard input is kept in a file while the context lasts. Raises ConfigError where there is
    neither a format nor a file of that name.
    """
    if named not in FORMATS and named != AUTO:
        if not paths and named != STDIN and not Path(named).exists():
            raise ConfigError(
                f"there is neither a format nor a file {named!r}",
                remedy=did_you_mean(
                    named, FORMATS, f"a file, or one of {', '.join(sorted(FORMATS))} and files"
                ),
            )
        if named == STDIN or Path(named).exists():
            named, paths = AUTO, (Path(named), *paths)
    if not paths:
        raise ConfigError(f"farm import {named} names no file", remedy=f"farm import {named} FILE")
    if Path(STDIN) not in paths:
        yield named, paths
        return
    with tempfile.TemporaryDirectory() as folder:
        held = _held(Path(folder))
        yield named, tuple(held if path == Path(STDIN) else path for path in paths)


def _held(folder: Path) -> Path:
    """Standard input as a file whose name says what its first bytes are."""
    raw = folder / "raw"
    with raw.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    with opened(raw) as stream:
        head = stream.read(1 << 16)
    line = head.splitlines()[0] if head.strip() else b""
    endings = (
        (b"PAR1", ".parquet"),
        (b"ARROW1", ".arrow"),
        (b"PK\x03\x04", ".xlsx"),
        (b"{", ".jsonl"),
        (b"[", ".json"),
    )
    ending = next((ending for mark, ending in endings if head.lstrip().startswith(mark)), None)
    separated = ".tsv" if line.count(b"\t") > line.count(b",") else ".csv"
    return raw.rename(folder / f"stdin{ending or separated}")


def choose(named: str, paths: Sequence[Path], options: TableWords) -> TableChoice:
    """The format and the mapping that the user named, or that the first file suggests."""
    whole = tuple(paths)
    if named not in (AUTO, TABLE):
        _no_table_options(named, options)
        return TableChoice(named, whole)
    if options.saved_map is not None:
        return TableChoice(TABLE, whole, load(options.saved_map))
    if options.maps:
        return TableChoice(TABLE, whole, mapping_of(options.maps, options.verdict))
    first = next(expand(paths, FORMATS[TABLE]))
    if named == AUTO and first.suffix in PLAIN:
        return TableChoice(WEAK[0], whole)
    if named == AUTO:
        _, row = next(readable_objects(first))
        found = guess(row)
        if found is not None and (found not in WEAK or options.verdict is None):
            better = _guessed(first, whole, options) if found in WEAK else None
            if better is None or not ({"output_1", "chosen"} & better.columns.keys()):
                return TableChoice(found, whole)
            return better
    suggestion = guess_table(first, parsed(options.verdict) if options.verdict else None)
    return _previewed(first, whole, suggestion)


def _no_table_options(named: str, options: TableWords) -> None:
    if options.maps or options.verdict or options.saved_map or options.save_map:
        raise ConfigError(
            f"--map and --verdict are of the format table, not of {named}", remedy="farm import table"
        )


def _guessed(first: Path, paths: tuple[Path, ...], options: TableWords) -> TableChoice | None:
    try:
        return _previewed(first, paths, guess_table(first))
    except FormatError:
        return None


def _previewed(first: Path, paths: tuple[Path, ...], suggestion: GuessedMap) -> TableChoice:
    mapping = suggestion.mapping
    rows = () if suggestion.open else islice(FORMATS[TABLE].read(first, ReadOptions(table=mapping)), PREVIEW)
    return TableChoice(TABLE, paths, mapping, guessed=True, open=suggestion.open, preview=tuple(rows))


def unconfirmed(choice: TableChoice) -> ConfigError:
    """The error for a guessed mapping that nobody took, with the command that takes it."""
    assert choice.mapping is not None
    command = ["farm", "import", TABLE, *map(str, choice.paths), *arguments(choice.mapping)]
    return ConfigError(
        "the mapping is guessed, and nobody said yes", remedy=f"run {shlex.join(command)}, or add --yes"
    )


def require_clear(choice: TableChoice) -> None:
    """Raise ConfigError where a verdict's values may mean either side, with the command that says it."""
    if not choice.open or choice.mapping is None:
        return
    column = choice.mapping.columns["verdict"]
    listed = ",".join(f"{value}={BLANK}" for value in choice.open[:FEW])
    bare = TableMap({place: name for place, name in choice.mapping.columns.items() if place != "verdict"})
    command = [
        "farm",
        "import",
        TABLE,
        *map(str, choice.paths),
        *arguments(bare),
        "--verdict",
        f"{column}:{listed}",
    ]
    raise ConfigError(
        f"the values of the column {column!r} may mean either side",
        where=str(choice.paths[0]),
        remedy=f"run {shlex.join(command)} with first, second, tie or none for each {BLANK}",
    )
