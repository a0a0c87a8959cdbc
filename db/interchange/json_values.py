"""Reads JSON strictly: one value, or the values of an array one at a time, in bounded memory."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from db.errors import FormatError

LONGEST = 64 << 20  # characters of one value of an array at most
_CHUNK = 1 << 20
_NEAR = 16  # characters; a fault so near to the end of what was read may be a value that is cut there
_BLANK = " \t\r\n"


def parse_json(text: str, where: str) -> Any:
    """A text as a JSON value; NaN and infinities are null. Raises FormatError on text that is none."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise _not_json(str(error), where) from error


def array_values(read: Callable[[int], str], where: str) -> Iterator[Any]:
    """The values of a JSON array, one at a time. read: gives the next characters of the text, "" at its end.

    Raises FormatError as parse_json does, with the number of the value, and for a value of over LONGEST
    characters.
    """
    text = _Text(read, where)
    text.take("[")
    if text.next() == "]":
        text.take("]")
    else:
        number = 1
        while True:
            yield text.value(number)
            number += 1
            if text.next() != ",":
                break
            text.take(",")
        text.take("]")
    if text.next():
        raise _not_json("Extra data", where)


class _Text:
    """The part of a text that was read and not used yet."""

    def __init__(self, read: Callable[[int], str], where: str) -> None:
        self._read = read
        self._where = where
        self._held = ""
        self._at = 0
        self._is_whole = False

    def next(self) -> str:
        """The next character that is not blank; "" at the end."""
        while True:
            while self._at < len(self._held):
                if self._held[self._at] not in _BLANK:
                    return self._held[self._at]
                self._at += 1
            if self._is_whole:
                return ""
            self._grow(self._where)

    def take(self, sign: str) -> None:
        """Pass over this sign."""
        if self.next() != sign:
            raise _not_json(f"Expecting {sign!r}", self._where)
        self._at += 1

    def value(self, number: int) -> Any:
        """The next value. Where it may be cut, it is read again from a text of twice the length."""
        where = f"{self._where}:{number}"
        self.next()
        while True:
            try:
                found, end = _DECODER.raw_decode(self._held, self._at)
            except json.JSONDecodeError as error:
                is_cut = error.msg.startswith("Unterminated") or error.pos >= len(self._held) - _NEAR
                if self._is_whole or not is_cut:
                    raise _not_json(str(error), where) from error
            except (ValueError, RecursionError) as error:
                raise _not_json(str(error), where) from error
            else:
                if end <= len(self._held) - _NEAR or self._is_whole:
                    self._at = end
                    return found
            self._grow(where)

    def _grow(self, where: str) -> None:
        """Read as much again as is held."""
        rest = self._held[self._at :]
        if len(rest) > LONGEST:
            raise FormatError("a row of over 64 MB", where=where, remedy="is this text?")
        more = self._read(max(_CHUNK, len(rest)))
        self._is_whole = not more
        self._held, self._at = rest + more, 0


def _not_json(said: str, where: str) -> FormatError:
    reason = said.split(": line", maxsplit=1)[0]
    return FormatError(f"this is not JSON: {reason}", where=where, remedy="give JSON lines or one JSON array")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} stands twice")
    return made


def _missing(name: str) -> None:
    """NaN and infinities, which Python and pandas write where a value is missing."""


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits:.40} is too large for a number")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_missing, parse_float=_finite)
