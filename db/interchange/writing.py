"""Writes objects: JSON lines, a JSON array, parquet."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

ENCODE = json.JSONEncoder(ensure_ascii=False).encode  # made once: `json.dumps` would make it for each object


def write_json_lines(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write one object a line and return their number. A path that ends in .gz is gzipped."""
    return write_lines(map(ENCODE, rows), path)


def write_lines(lines: Iterable[str], path: Path) -> int:
    """Write objects that are JSON already, as `write_json_lines` does."""
    count = 0
    with _sink(path) as stream:
        for count, line in enumerate(lines, 1):  # noqa: B007
            stream.write(f"{line}\n".encode())
    return count


@contextmanager
def _sink(path: Path) -> Iterator[BinaryIO]:
    with path.open("wb") as raw:
        if path.suffix == ".gz":  # without time stamp and name, so that equal rows give equal bytes
            with gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed:
                yield packed  # type: ignore[misc]
        else:
            yield raw


def write_json_array(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write objects as one JSON array, one object a line, and return their number."""
    count = 0
    with _sink(path) as stream:
        stream.write(b"[")
        for count, row in enumerate(rows, 1):
            stream.write((",\n" if count > 1 else "\n").encode())
            stream.write(ENCODE(row).encode("utf-8"))
        stream.write(b"\n]\n")
    return count


def _column(values: list[Any]) -> Any:
    """Values as a column of parquet."""
    import pyarrow as arrow  # slow to load, and only parquet needs it

    try:
        return arrow.array(values)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError):
        return arrow.array([None if each is None else json.dumps(each) for each in values])


def write_objects(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write objects of plain values and return their number. A path in .parquet gives parquet.

    Any other path gives JSON lines. In parquet a name that only some objects have is a column with gaps, and
    values of several types are JSON texts.
    """
    if path.suffix != ".parquet":
        return write_json_lines(rows, path)
    import pyarrow as arrow  # slow to load, and only parquet needs it
    import pyarrow.parquet as parquet

    held = list(rows)
    names = dict.fromkeys(name for row in held for name in row)
    columns = {name: _column([row.get(name) for row in held]) for name in names}
    parquet.write_table(arrow.table(columns), path)
    return len(held)
