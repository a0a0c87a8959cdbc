"""Files of objects: reads JSON lines, JSON, CSV, parquet, Arrow and Excel; writes JSON and parquet."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

from db.errors import FormatError
from db.interchange.csv_rows import csv_rows, distinct
from db.interchange.json_values import array_values, parse_json
from db.interchange.rows import Refusal

Numbered: TypeAlias = tuple[int, dict[str, Any]]  # number of the line or row, from 1; the object
Made = TypeVar("Made", bound=tuple[int, Any] | Refusal)

PARQUET_BATCH = 1_000
MAX_LINE = 64 << 20  # bytes; a longer line is no row of a preference file
HOPELESS = 100  # broken rows at the beginning of a file that refuse it whole
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
            place.file, place.row = str(path), row.row if isinstance(row, Refusal) else row[0]
        yield row


def file_rows(path: Path) -> Iterator[Numbered | Refusal]:
    """Stream a file's objects with their line or row numbers; a row that cannot be read is a Refusal.

    Raises FormatError, which names file and line, where the file is missing, unreadable, truncated, empty,
    or none of its first HOPELESS rows can be read.
    """
    _require_file(path)
    broken: list[Refusal] = []
    found = False
    for row in followed_rows(path, _rows(path)):
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
        return _parquet(path)
    if ".arrow" in suffixes or ".feather" in suffixes:
        return _arrow(path)
    if ".xlsx" in suffixes:
        return _excel(path)
    if ".csv" in suffixes or ".tsv" in suffixes:
        return csv_rows_of(path, "\t" if ".tsv" in suffixes else _delimiter(path))
    return _json(path)


def sha256_of(path: Path) -> str:
    """SHA-256 in hexadecimal of a file, or of all files of a folder in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


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


def lines(path: Path) -> Generator[tuple[int, str] | Refusal, None, None]:
    """Stream the lines of a file that are not blank, with their numbers.

    A line that is not UTF-8 or has MAX_LINE bytes or more is a Refusal; no more of it is held.
    """
    with opened(path) as stream:
        number = 0
        while line := stream.readline(MAX_LINE):
            number += 1
            if len(line) == MAX_LINE:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(MAX_LINE)
                yield Refusal(number, "a line of over 64 MB")
                continue
            try:
                text = line.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                yield Refusal(number, f"byte {error.start + 1} is not UTF-8 ({AS_UTF8})")
                continue
            if text:
                yield number, text


def _json(path: Path) -> Iterator[Numbered | Refusal]:
    stream = lines(path)
    first = next(stream, None)
    if isinstance(first, tuple) and first[1].startswith("["):
        stream.close()
        yield from _array(path)
    elif isinstance(first, tuple) and first[1] == "{":
        yield _object(1, parse_json(_whole(stream, first[1], path), f"{path}"))
    elif first is not None:
        for line in chain([first], stream):
            yield line if isinstance(line, Refusal) else _parsed(*line)


def _parsed(number: int, text: str) -> Numbered | Refusal:
    try:
        return _object(number, parse_json(text, ""))
    except FormatError as error:
        return Refusal(number, error.what)


def _whole(stream: Iterator[tuple[int, str] | Refusal], first: str, path: Path) -> str:
    """The lines of a file as one text. Raises FormatError where they have over MAX_LINE characters."""
    held, size = [first], 0
    for line in stream:
        if isinstance(line, Refusal):
            raise FormatError(line.reason, where=f"{path}:{line.row}")
        held.append(line[1])
        size += len(line[1]) + 64  # an empty text takes about as much
        if size > MAX_LINE:
            raise FormatError("an object of over 64 MB", where=str(path), remedy="give JSON lines")
    return "\n".join(held)


def _array(path: Path) -> Iterator[Numbered | Refusal]:
    with opened(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        try:
            for number, value in enumerate(array_values(text.read, str(path)), 1):
                yield _object(number, value)
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


def _object(number: int, value: Any) -> Numbered | Refusal:
    if isinstance(value, dict):
        return number, value
    return Refusal(number, f"expected a JSON object, found {type(value).__name__} {str(value)[:40]!r}")


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
        names = [None if name is None else str(name) for name in next(rows, ())]
        distinct([name for name in names if name is not None], str(path))
        for number, cells in enumerate(rows, 2):
            if any(cell is not None for cell in cells):
                named = zip(names, cells, strict=False)
                yield number, as_json({name: cell for name, cell in named if name is not None})
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise FormatError(f"this is not an Excel file: {error}", where=str(path)) from error


def _delimiter(path: Path) -> str:
    """What separates the cells of a CSV file's first line: a comma, semicolon or tab, the commonest."""
    with opened(path) as stream:
        head = stream.readline(1 << 16)
    return max((",", ";", "\t"), key=lambda each: head.count(each.encode()))


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
