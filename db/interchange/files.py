"""Reads and writes files of objects: JSON lines, JSON, CSV (reading only) and parquet, plain or gzipped."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from db.errors import FormatError

Numbered: TypeAlias = tuple[int, dict[str, Any]]  # number of the line or row, from 1; the object

PARQUET_BATCH = 1_000
MAX_LINE = 256 << 20  # bytes; a longer line is no row of a preference file


def objects(path: Path) -> Iterator[Numbered]:
    """Stream a file's objects with their line or row numbers.

    Raises FormatError, which names file and line, where the file is missing, unreadable, truncated, empty,
    not UTF-8 or not a sequence of objects.
    """
    _require_file(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    count = 0
    if ".parquet" in suffixes:
        rows = _parquet(path)
    elif ".csv" in suffixes or ".tsv" in suffixes:
        rows = _csv(path, "\t" if ".tsv" in suffixes else ",")
    else:
        rows = _json(path)
    for count, row in enumerate(rows, 1):  # noqa: B007
        yield row
    if not count:
        raise FormatError("the file holds no row", where=str(path), remedy="give a file with at least one")


def _require_file(path: Path) -> None:
    if not path.exists():
        raise FormatError("there is no such file", where=str(path), remedy="check the name")
    if path.is_dir():
        raise FormatError("this is a folder, not a file", where=str(path), remedy="name the files in it")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked where it is gzipped, without a byte-order mark.

    Raises FormatError where the file cannot be read or unpacked.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            stream: BinaryIO = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
            with io.BufferedReader(stream, 1 << 20) as buffered:  # type: ignore[type-var]
                if buffered.peek(3)[:3] == codecs.BOM_UTF8:
                    buffered.read(3)
                yield buffered
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FormatError(
            f"the compressed file is broken: {error}", where=str(path), remedy="fetch it again"
        ) from error
    except OSError as error:
        raise FormatError(f"the file cannot be read: {error.strerror}", where=str(path)) from error


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Stream the lines of a file that are not blank, with their numbers.

    Raises FormatError for a line that is not UTF-8 or has MAX_LINE bytes or more.
    """
    with opened(path) as stream:
        number = 0
        while line := stream.readline(MAX_LINE):
            number += 1
            if len(line) == MAX_LINE:
                raise FormatError("a line of over 256 MB", where=f"{path}:{number}", remedy="is this text?")
            try:
                text = line.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                raise FormatError(
                    f"byte {error.start + 1} is not UTF-8",
                    where=f"{path}:{number}",
                    remedy="save it as UTF-8 text",
                ) from error
            if text:
                yield number, text


def _json(path: Path) -> Iterator[Numbered]:
    stream = lines(path)
    first = next(stream, None)
    if first is None:
        return
    number, text = first
    if text.startswith("["):
        yield from _array(path, "\n".join([text, *(line for _, line in stream)]))
        return
    if text == "{":
        whole = "\n".join([text, *(line for _, line in stream)])
        yield 1, _object(path, 1, parse_json(whole, f"{path}"))
        return
    yield number, _object(path, number, parse_json(text, f"{path}:{number}"))
    for number, text in stream:
        yield number, _object(path, number, parse_json(text, f"{path}:{number}"))


def _array(path: Path, text: str) -> Iterator[Numbered]:
    for number, value in enumerate(parse_json(text, str(path)), 1):
        yield number, _object(path, number, value)


def parse_json(text: str, where: str) -> Any:
    """A text as a JSON value. Raises FormatError where it is none, or has NaN, infinities or doubled keys."""
    try:
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = str(error).split(": line", maxsplit=1)[0]
        raise FormatError(
            f"this is not JSON: {reason}", where=where, remedy="give JSON lines or one JSON array"
        ) from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} stands twice")
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _object(path: Path, number: int, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FormatError(
            f"expected a JSON object, found {type(value).__name__} {str(value)[:40]!r}",
            where=f"{path}:{number}",
        )
    return value


def _parquet(path: Path) -> Iterator[Numbered]:
    import pyarrow as arrow  # slow to load, and only parquet needs it
    import pyarrow.parquet as parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(PARQUET_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (arrow.ArrowException, OSError) as error:
        raise FormatError(f"this is not parquet: {error}", where=str(path)) from error


def _csv(path: Path, delimiter: str) -> Iterator[Numbered]:
    with opened(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        try:
            reader = csv.DictReader(text, delimiter=delimiter, strict=True)
            for number, row in enumerate(reader, 2):
                if None in row or None in row.values():
                    raise FormatError("this row has another number of cells", where=f"{path}:{number}")
                yield number, dict(row)
        except (csv.Error, UnicodeDecodeError) as error:
            raise FormatError(f"this is not CSV: {error}", where=str(path)) from error


def write_json_lines(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write one object a line and return their number. A path that ends in .gz is gzipped."""
    count = 0
    with _sink(path) as stream:
        for count, row in enumerate(rows, 1):  # noqa: B007
            stream.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")
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
            stream.write(json.dumps(row, ensure_ascii=False).encode("utf-8"))
        stream.write(b"\n]\n")
    return count


def write_objects(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write objects of texts and booleans and return their number. A path in .parquet gives parquet.

    Any other path gives JSON lines.
    """
    if path.suffix != ".parquet":
        return write_json_lines(rows, path)
    import pyarrow as arrow  # slow to load, and only parquet needs it
    import pyarrow.parquet as parquet

    held = list(rows)
    parquet.write_table(arrow.Table.from_pylist(held), path)
    return len(held)
