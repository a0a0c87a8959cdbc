"""Reads the rows of files that hold columns: parquet, Arrow, Excel."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from db.errors import FormatError
from db.interchange.csv_rows import distinct
from db.interchange.opening import AS_UTF8
from db.interchange.rows import Numbered

PARQUET_BATCH = 1_000


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


def parquet_rows(path: Path) -> Iterator[Numbered]:
    """The rows of a parquet file."""
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


def arrow_rows(path: Path) -> Iterator[Numbered]:
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


def excel_rows(path: Path) -> Iterator[Numbered]:
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
