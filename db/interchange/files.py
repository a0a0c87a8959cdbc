"""Reads the objects of a file, whichever way it stores them: JSON, CSV, parquet, Arrow, Excel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from db.errors import FormatError
from db.interchange.column_files import arrow_rows, excel_rows, parquet_rows
from db.interchange.csv_rows import csv_rows_of, delimiter_of
from db.interchange.json_files import json_rows
from db.interchange.opening import require_file
from db.interchange.rows import Numbered, Refusal

HOPELESS = 100  # broken rows at the beginning of a file that refuse it whole


def file_rows(path: Path) -> Iterator[Numbered | Refusal]:
    """Stream a file's objects with their line or row numbers; a row that cannot be read is a Refusal.

    Raises FormatError, which names file and line, where the file is missing, unreadable, truncated, empty,
    or none of its first HOPELESS rows can be read.
    """
    require_file(path)
    broken: list[Refusal] = []
    found = False
    for row in _rows(path):
        if found:
            yield row
        elif isinstance(row, Refusal):
            broken.append(row)
            if len(broken) == HOPELESS:
                break
        else:
            found = True
            yield from broken
            yield row
    if not found and not broken:
        raise FormatError("the file holds no row", where=str(path), remedy="give a file with at least one")
    if not found:
        remedy = "give JSON lines, one JSON array, CSV or parquet"
        raise FormatError(broken[0].reason, where=f"{path}:{broken[0].row}", remedy=remedy)


def objects(path: Path) -> Iterator[Numbered]:
    """The same without refusals. Raises FormatError at the first row that cannot be read."""
    for row in file_rows(path):
        if isinstance(row, Refusal):
            raise FormatError(row.reason, where=f"{path}:{row.row}")
        yield row


def readable_objects(path: Path) -> Iterator[Numbered]:
    """The same, without the rows that cannot be read."""
    return (row for row in file_rows(path) if not isinstance(row, Refusal))


def with_objects(
    rows: Iterable[Numbered | Refusal], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> Iterator[Numbered | Refusal]:
    """The rows, with each object changed."""
    return (row if isinstance(row, Refusal) else (row[0], change(row[1])) for row in rows)


def _rows(path: Path) -> Iterator[Numbered | Refusal]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if ".parquet" in suffixes:
        return parquet_rows(path)
    if ".arrow" in suffixes or ".feather" in suffixes:
        return arrow_rows(path)
    if ".xlsx" in suffixes:
        return excel_rows(path)
    if ".csv" in suffixes or ".tsv" in suffixes:
        return csv_rows_of(path, "\t" if ".tsv" in suffixes else delimiter_of(path))
    return json_rows(path)
