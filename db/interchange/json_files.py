"""Reads the objects of JSON files: one a line, one array of them, or one object alone."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from db.errors import FormatError
from db.interchange.json_values import array_values, parse_json
from db.interchange.opening import AS_UTF8, MAX_LINE, lines, opened
from db.interchange.rows import Numbered, Refusal


def json_rows(path: Path) -> Iterator[Numbered | Refusal]:
    """Stream the objects with the numbers of their lines, or their places in the array."""
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
    """The objects of an array. Where it is torn, those before the tear, and a refusal that ends them."""
    number = 0
    with opened(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        try:
            for number, value in enumerate(array_values(text.read, str(path)), 1):
                yield _object(number, value)
        except UnicodeDecodeError as error:
            raise FormatError("the file is not UTF-8", where=str(path), remedy=AS_UTF8) from error
        except FormatError as error:
            if number == 0:
                raise
            yield Refusal(number + 1, f"{error.what}; the file is not read beyond it", is_end=True)


def _object(number: int, value: Any) -> Numbered | Refusal:
    if isinstance(value, dict):
        return number, value
    return Refusal(number, f"expected a JSON object, found {type(value).__name__} {str(value)[:40]!r}")
