"""Reads CSV row by row: a row of another number of cells is refused, broken quoting never shifts the rest.

A row is numbered by the line of the file that it begins on. A quoted cell may hold line breaks, so one quote
too many or too few joins rows, or parts one. Nothing after that line can be told apart: the row is refused,
and the file is not read beyond it. So is the row before it, which a stray quote may have cut. The others are
not in doubt, unless one of them may have been joined too, see `_runs_on`: then the file is refused whole. A
row on one line with an even number of quotes, such as "he said "no" twice", ends where its line ends. It is
refused alone, and the next quotes of the file must bear that out, or the file is refused whole.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from db.errors import FormatError
from db.interchange.opening import AS_UTF8, opened
from db.interchange.rows import Numbered, Refusal

LONGEST = 64 << 20  # characters of a line, and of a cell
SWALLOWED = 3  # lines of one row that each look like a row of the table
NARROW = 2  # columns; so few commas stand in the lines of any text
MEND = 'mend the quotes: a cell with a quote, a line break or a separator stands in "...", its quotes doubled'


def csv_rows_of(
    path: Path, delimiter: str, headers: Sequence[tuple[str, ...]] = ()
) -> Iterator[Numbered | Refusal]:
    """Stream the rows of a CSV file. headers: as for `csv_rows`. Raises FormatError where it is not UTF-8."""
    with opened(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")  # it closes the stream when it goes
        try:
            yield from csv_rows(text, delimiter, str(path), headers=headers)
        except UnicodeDecodeError as error:
            raise FormatError("the file is not UTF-8", where=str(path), remedy=AS_UTF8) from error


def delimiter_of(path: Path) -> str:
    """What separates the cells of a CSV file's first line: a comma, semicolon or tab, the commonest."""
    with opened(path) as stream:
        head = stream.readline(1 << 16)
    return max((",", ";", "\t"), key=lambda each: head.count(each.encode()))


def csv_rows(
    text: TextIO, delimiter: str, where: str, headers: Sequence[Sequence[str]] = ()
) -> Iterator[Numbered | Refusal]:
    """Stream the rows by column. text: opened with newline="".

    The first row names the columns. headers: names for a file without such a row, by their number. Raises
    FormatError for a header with a name twice, for quotes that leave rows in doubt and for a line of over
    LONGEST characters.
    """
    held: list[Numbered | Refusal] = []  # the last row, and what was refused after it
    for row in _rows(text, delimiter, where, headers):
        if isinstance(row, Refusal):
            if row.is_end and held and not isinstance(held[0], Refusal):
                held[0] = Refusal(held[0][0], f"the broken quotes after this row may be its own ({MEND})")
            held.append(row)
        else:
            yield from held
            held = [row]
    yield from held


def _rows(
    text: TextIO, delimiter: str, where: str, headers: Sequence[Sequence[str]]
) -> Iterator[Numbered | Refusal]:
    csv.field_size_limit(LONGEST)
    source = _Lines(text, where)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    names: list[str] | None = None
    doubted = 0  # line of a refused row whose quotes were broken, while no quotes came after it
    joined = 0  # line of the first row on several lines that may have been joined
    while True:
        begin = source.start()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            is_alone = len(source.held) == 1 and source.quotes % 2 == 0
            if names is None or (not is_alone and (joined or doubted)):
                raise _broken(joined or doubted or begin, source.number, where) from error
            if not is_alone:
                reason = _broken(begin, source.number, where).what
                yield Refusal(begin, f"{reason}; the file is not read beyond it ({MEND})", is_end=True)
                return
            doubted = begin
            yield Refusal(begin, f"this row's quotes are broken ({MEND})")
            continue
        if cells is None:
            return
        if joined and source.quotes % 2:
            raise _broken(joined, source.number, where)
        if len(source.held) > 1 and (source.quotes % 2 or _runs_on(cells, delimiter)):
            joined = joined or begin
        if doubted and source.quotes:
            if source.quotes % 2:
                raise _broken(doubted, source.number, where)
            doubted = 0
        if names is None and cells:
            given = next((list(each) for each in headers if len(each) == len(cells)), None)
            names = given or distinct(cells, f"{where}:{begin}")
            if given is None:
                continue
        if names is None:
            continue
        if len(cells) == len(names):
            if _swallows(source.held, delimiter, len(names)):
                last = begin + len(source.held) - 1
                yield Refusal(begin, f"lines {begin} to {last} look like rows of their own ({MEND})")
            else:
                yield begin, dict(zip(names, cells, strict=True))
        elif cells:
            lines = "" if len(source.held) == 1 else f" on lines {begin} to {source.number}"
            yield Refusal(begin, f"this row has {len(cells)} cells{lines}, and the header {len(names)}")


class _Lines:
    """The lines of a text. held: those that were given since the last `start`."""

    def __init__(self, text: TextIO, where: str) -> None:
        self._text = text
        self._where = where
        self.number = 0
        self.held: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == LONGEST:
            raise FormatError(
                "a line of over 64 MB", where=f"{self._where}:{self.number}", remedy="is this CSV?"
            )
        self.held.append(line)
        return line

    def start(self) -> int:
        """Forget the lines of the row before. Returns the number of the next line."""
        self.held.clear()
        return self.number + 1

    @property
    def quotes(self) -> int:
        """How many quotes the held lines have."""
        return sum(line.count('"') for line in self.held)


def distinct(names: list[str], where: str) -> list[str]:
    """The names of a table's columns. Raises FormatError where two columns have one name."""
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise FormatError(f"two columns are called {twice!r}", where=where, remedy="rename one of them")
    return names


def _runs_on(cells: Sequence[str], delimiter: str) -> bool:
    """Whether a cell of several lines may have run on into the next quoted cell.

    It ends then where that one begins: behind a separator or a line break.
    """
    ends = (cell.rstrip('"')[-1:] for cell in cells if "\n" in cell)
    return any(end in ("", delimiter, "\r", "\n") for end in ends)


def _swallows(lines: Sequence[str], delimiter: str, width: int) -> bool:
    """Whether a row holds whole rows in one of its cells: each of its lines has the table's cells."""
    is_wide = width > NARROW and len(lines) >= SWALLOWED
    return is_wide and all(line.count(delimiter) == width - 1 for line in lines)


def _broken(begin: int, end: int, where: str) -> FormatError:
    found = "" if begin == end else f", which was found on line {end}"
    return FormatError(f"a row's quotes are broken{found}", where=f"{where}:{begin}", remedy=MEND)
