"""Reads the fields of a row. Each function returns the value, or raises ValueError with the reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from db.errors import FormatError
from db.interchange.rows import Entry, Numbered, Placed, Refusal

STORED = frozenset({
    ".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv", ".txt", ".text", ".arrow", ".xlsx", ".gz",
})  # fmt: skip

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE | re.ASCII)

Fields = Mapping[str, Any]


class UnlikeFormat(FormatError):
    """An object lacks fields of the format that it was read as. row: the object."""

    def __init__(self, what: str, *, where: str, row: Fields) -> None:
        super().__init__(
            what,
            where=where,
            remedy="`farm import FILE` guesses a mapping; docs/import.md shows every format",
        )
        self.row = row


def require_storable(name: str, value: str) -> str:
    """Return the value. Raises ValueError where it holds a NUL character or a lone surrogate.

    No database stores these. An import refuses such a text and does not repair it.
    """
    if "\0" in value:
        raise ValueError(f"{name} holds a NUL character, which no database stores")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(f"{name} holds a lone surrogate, which is no character") from None
    return value


def shown(value: object) -> str:
    """A value as an error text shows it: its repr, cut to 40 characters."""
    return repr(value) if len(repr(value)) <= 40 else repr(value)[:37] + "..."


def text(row: Fields, *names: str, default: str | None = None) -> str:
    """The first of these fields that is present and not null, else the default.

    Raises ValueError where the value is no text, or where nothing is found and there is no default.
    """
    for name in names:
        value = row.get(name)
        if value is not None:
            if not isinstance(value, str):
                raise ValueError(f"{name} is {shown(value)}, not a text")
            return require_storable(name, value)
    if default is None:
        raise ValueError(f"{' or '.join(names)} is missing")
    return default


def maybe_text(row: Fields, *names: str) -> str | None:
    """The first of these fields that is present and not null, as a text; else None. Numbers become text."""
    for name in names:
        value = row.get(name)
        if value is not None:
            return require_storable(name, value if isinstance(value, str) else str(value))
    return None


def maybe_number(row: Fields, name: str) -> float | None:
    """A finite number of 0 or more, or a text that spells one; None where the field is absent or blank."""
    value = row.get(name)
    if is_blank(value):
        return None
    number = number_of(value)
    if number is None or number < 0:
        raise ValueError(f"{name} is {shown(value)}, not a number of 0 or more")
    return number


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is an int or a float. A bool does not count."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_of(value: object) -> float | None:
    """A number, or a text that spells one, as a finite float; None for anything else. A bool is no number."""
    if isinstance(value, str):
        value = value.strip()
        value = float(value) if NUMBER.fullmatch(value) else None
    return float(value) if is_number(value) and abs(value) < float("inf") else None


def is_blank(value: object) -> bool:
    """Whether a cell holds nothing: null, NaN, or white space."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def coded(row: Fields, name: str, codes: Mapping[float, float]) -> float | None:
    """P(output_1 preferred) by the source's codes; None for null and for an empty cell.

    Codes may be texts, as in CSV. Raises ValueError on any other value.
    """
    value = row.get(name)
    if is_blank(value):
        return None
    number = number_of(value)
    if number is None or number not in codes:
        allowed = ", ".join(f"{code:g}" for code in codes)
        raise ValueError(f"{name} is {shown(value)}, not {allowed} or null")
    return codes[number]


def stem(path: Path) -> str:
    """A file's name without the endings that say how it is stored."""
    name = path.name
    while (ending := Path(name).suffix.lower()) in STORED and Path(name).stem:
        name = name[: -len(ending)]
    return name


def as_json_text(value: object) -> str | None:
    """A raw reply as text: a text as it is, None as None, any other value as JSON."""
    if value is None:
        return None
    return require_storable(
        "raw_completion", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    )


def others(row: Fields, *known: str) -> dict[str, Any]:
    """The fields of a row that are neither known nor null."""
    return {name: value for name, value in row.items() if name not in known and value is not None}


def rows_of(
    path: Path,
    objects: Iterator[Numbered | Refusal],
    shape: Sequence[Sequence[str]],
    read: Callable[[dict[str, Any]], Iterator[Entry]],
) -> Iterator[Placed]:
    """Read every object; one that `read` refuses with a ValueError becomes a Refusal with its number.

    shape: groups of field names. Raises UnlikeFormat where the first object lacks all names of a group.
    """
    file, is_first = str(path), True
    for each in objects:
        if isinstance(each, Refusal):
            yield Placed(file, each.row, each)
            continue
        number, row = each
        if is_first:
            require_shape(path, number, row, shape)
            is_first = False
        try:
            for entry in read(row):
                yield Placed(file, number, entry)
        except ValueError as error:
            yield Placed(file, number, Refusal(number, str(error)))


def require_shape(path: Path, number: int, row: Fields, shape: Sequence[Sequence[str]]) -> None:
    """Raise UnlikeFormat where the object lacks all names of a group in `shape`."""
    missing = [group for group in shape if not any(name in row for name in group)]
    if missing:
        found = ", ".join(list(row)[:8]) or "nothing"
        what = f"no field {' or '.join(missing[0])} here, but {found}"
        raise UnlikeFormat(what, where=f"{path}:{number}", row=row)
