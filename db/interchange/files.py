"""Files of objects: reads JSON lines, JSON, CSV, parquet, Arrow and Excel; writes JSON and parquet."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

from db.errors import FormatError
from db.interchange.json_values import array_values, parse_json

Numbered: TypeAlias = tuple[int, dict[str, Any]]  # number of the line or row, from 1; the object
Made = TypeVar("Made", bound=tuple[int, Any])

PARQUET_BATCH = 1_000
MAX_LINE = 64 << 20  # bytes; a longer line is no row of a preference file
AS_UTF8 = "save it as UTF-8 text"
POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass
class ReadingPlace:
    """Where reading is: the file, and the number of the line or row that was given last."""

    file: str = ""
    row: int = 0


_place: ContextVar[ReadingPlace | None] = ContextVar("place", default=None)


@contextmanager
def followed() -> Iterator[ReadingPlace]:
    """A place that follows the reading inside this block, whichever files a reader opens."""
    place = ReadingPlace()
    token = _place.set(place)
    try:
        yield place
    finally:
        _place.reset(token)


def followed_rows(path: Path, rows: Iterable[Made]) -> Iterator[Made]:
    """Give numbered rows of a file, and tell `followed` where reading is."""
    for row in rows:
        if (place := _place.get()) is not None:
            place.file, place.row = str(path), row[0]
        yield row


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
    elif ".arrow" in suffixes or ".feather" in suffixes:
        rows = _arrow(path)
    elif ".xlsx" in suffixes:
        rows = _excel(path)
    elif ".csv" in suffixes or ".tsv" in suffixes:
        rows = _csv(path, "\t" if ".tsv" in suffixes else _delimiter(path))
    else:
        rows = _json(path)
    for count, row in enumerate(followed_rows(path, rows), 1):  # noqa: B007
        yield row
    if not count:
        raise FormatError("the file holds no row", where=str(path), remedy="give a file with at least one")


def _require_file(path: Path) -> None:
    if not path.exists():
        raise FormatError("there is no such file", where=str(path), remedy="check the name")
    if path.is_dir():
        raise FormatError("this is a folder, not a file", where=str(path), remedy="name the files in it")
    with path.open("rb") as stream:
        if stream.read(len(POINTER)) == POINTER:
            what = "this is a pointer of Git LFS, not the file itself"
            raise FormatError(what, where=str(path), remedy="fetch the file with `git lfs pull`")


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


def lines(path: Path) -> Generator[tuple[int, str], None, None]:
    """Stream the lines of a file that are not blank, with their numbers.

    Raises FormatError for a line that is not UTF-8 or has MAX_LINE bytes or more.
    """
    with opened(path) as stream:
        number = 0
        while line := stream.readline(MAX_LINE):
            number += 1
            if len(line) == MAX_LINE:
                raise FormatError("a line of over 64 MB", where=f"{path}:{number}", remedy="is this text?")
            try:
                text = line.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                raise FormatError(
                    f"byte {error.start + 1} is not UTF-8",
                    where=f"{path}:{number}",
                    remedy=AS_UTF8,
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
        stream.close()
        yield from _array(path)
        return
    if text == "{":
        yield 1, _object(path, 1, parse_json(_whole(stream, text, path), f"{path}"))
        return
    yield number, _object(path, number, parse_json(text, f"{path}:{number}"))
    for number, text in stream:
        yield number, _object(path, number, parse_json(text, f"{path}:{number}"))


def _whole(stream: Iterator[tuple[int, str]], first: str, path: Path) -> str:
    """The lines of a file as one text. Raises FormatError where they have over MAX_LINE characters."""
    held, size = [first], 0
    for _, line in stream:
        held.append(line)
        size += len(line) + 64  # an empty text takes about as much
        if size > MAX_LINE:
            raise FormatError("an object of over 64 MB", where=str(path), remedy="give JSON lines")
    return "\n".join(held)


def _array(path: Path) -> Iterator[Numbered]:
    with opened(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        try:
            for number, value in enumerate(array_values(text.read, str(path)), 1):
                yield number, _object(path, number, value)
        except UnicodeDecodeError as error:
            raise FormatError("the file is not UTF-8", where=str(path), remedy=AS_UTF8) from error


def as_json(value: Any) -> Any:
    """A value that JSON can hold: NaN and infinities are None, dates ISO texts, bytes and others texts."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, Mapping):
        return {str(name): as_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


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
                    yield number, as_json(row)
    except UnicodeDecodeError as error:
        where = f"{path}, after row {number}"
        raise FormatError("a text is not UTF-8", where=where, remedy=AS_UTF8) from error
    except (arrow.ArrowException, OSError) as error:
        raise FormatError(f"this is not parquet: {error}", where=str(path)) from error


def _arrow(path: Path) -> Iterator[Numbered]:
    """The rows of an Arrow file or stream, as saved datasets hold them."""
    import pyarrow as arrow  # slow to load, and few files need it
    from pyarrow import ipc

    number = 0
    try:
        with path.open("rb") as raw:
            whole = raw.read(6) == b"ARROW1"
        with arrow.memory_map(str(path)) as source:
            if whole:
                file = ipc.open_file(source)
                batches = (file.get_batch(i) for i in range(file.num_record_batches))
            else:
                batches = iter(ipc.open_stream(source))
            for batch in batches:
                for row in batch.to_pylist():
                    number += 1
                    yield number, as_json(row)
    except (arrow.ArrowException, OSError) as error:
        raise FormatError(f"this is not an Arrow file: {error}", where=str(path)) from error


def _excel(path: Path) -> Iterator[Numbered]:
    """The rows of the first sheet of an Excel file; its first row names the columns."""
    try:
        import openpyxl
    except ImportError:
        raise FormatError(
            "Excel files need openpyxl",
            where=str(path),
            remedy='pip install "preference-farm[excel]", or save it as CSV',
        ) from None
    try:
        sheet = openpyxl.load_workbook(path, read_only=True, data_only=True).worksheets[0]
        rows = sheet.iter_rows(values_only=True)
        names = next(rows, ())
        for number, cells in enumerate(rows, 2):
            if any(cell is not None for cell in cells):
                named = zip(names, cells, strict=False)
                yield number, as_json({str(name): cell for name, cell in named if name is not None})
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise FormatError(f"this is not an Excel file: {error}", where=str(path)) from error


def _delimiter(path: Path) -> str:
    """What separates the cells of a CSV file's first line: a comma, semicolon or tab, the commonest."""
    with opened(path) as stream:
        head = stream.readline(1 << 16)
    return max((",", ";", "\t"), key=lambda each: head.count(each.encode()))


def _csv(path: Path, delimiter: str) -> Iterator[Numbered]:
    csv.field_size_limit(MAX_LINE)
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
