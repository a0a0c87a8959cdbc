"""The error texts of wrong values, and texts read as values of a field's type."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from farm.settings.fields import (
    LIMITS,
    bare,
    choices_of,
    fields_of,
    flag_of,
    hint_of,
    hints_of,
    limits_of,
    without_none,
)

MOST = 200  # characters of a wrong value in an error
BREAKS = {"ge": float.__lt__, "gt": float.__le__, "le": float.__gt__, "lt": float.__ge__}
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}


def problems_of(
    config: type[Any], error: ValidationError, given: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    """Yields for each wrong field its outermost name, and a text that says what is wrong."""
    told = set()
    names = list(fields_of(config))
    for each in error.errors(include_url=False, include_context=False):
        first, *rest = each["loc"]
        path = [names[first] if isinstance(first, int) else first, *rest]
        owner, values = config, given
        while len(path) > 1 and dataclasses.is_dataclass(nested := hint_of(owner, str(path[0]))):
            inside = values.get(str(path[0]))
            owner, values = nested, inside if isinstance(inside, Mapping) else {}  # type: ignore[assignment]
            path.pop(0)
        name = str(path[0])
        if (owner, name) not in told:
            told.add((owner, name))
            whole = len(path) == 1 or each["type"] in (
                "missing",
                "too_long",
                "unexpected_positional_argument",
            )
            raw = values.get(name) if whole else each["input"]
            yield str(each["loc"][0]), _problem(owner, name, raw, each["type"], element=not whole)


def _problem(config: type[Any], name: str, raw: object, kind: str, *, element: bool) -> str:
    fields = fields_of(config)
    if name not in fields:
        return f"unknown option {_shown(name)}{_suggestion(name, list(fields))}"
    called = config.called(name) if hasattr(config, "called") else flag_of(name, fields[name]) or name
    hint = without_none(hint_of(config, name))
    if kind == "missing" and raw is None:
        return f"{called} is required"
    if kind == "finite_number":
        return f"{called} is {raw}, expected a finite number"
    limits = limits_of(fields[name])
    if kind.startswith(("greater_than", "less_than")):
        value: Any = hint(raw) if isinstance(raw, str) else raw
        broken = [
            f"{LIMITS[each]} {limit}"
            for each, limit in limits.items()
            if BREAKS[each](float(value), float(limit))
        ]
        return f"{called} is {value}, must be {' and '.join(broken)}"
    return f"{called} is {_shown(raw)}, expected {_expected(hint, raw, element=element)}"


def _shown(raw: object) -> str:
    """A wrong value as an error shows it."""
    try:
        text = repr(raw)
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= MOST else f"{text[:MOST]}..."


def _expected(hint: Any, raw: object, *, element: bool) -> str:
    """A text that describes the values of this type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if choices := choices_of(hint):
        return f"one of {', '.join(choices)}{_suggestion(str(raw), choices)}"
    if origin is tuple and not element:
        fixed = arguments[-1] is not Ellipsis
        return f"{len(arguments)} values" if fixed and isinstance(raw, list | tuple | str) else "a list"
    return KINDS.get(arguments[0] if origin is tuple else hint, "another value")


def _suggestion(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def listed(count: int) -> str:
    """The remedy of an error that lists so many problems."""
    number = "" if count == 1 else f"{count} errors; "
    return f"{number}`--help` lists every option"


def readable(config: type[Any], values: Mapping[str, object]) -> dict[str, object]:
    """The values, with texts changed so that pydantic can read them."""
    known, hints = fields_of(config), hints_of(config)
    return {
        name: _plain(value, bare(hints[name])) if name in known else value for name, value in values.items()
    }


def _plain(raw: object, hint: Any) -> object:
    """Read texts that pydantic does not: none, 1e3 as a whole number, a list with commas."""
    inner = without_none(hint)
    if isinstance(raw, Mapping) and isinstance(inner, type) and dataclasses.is_dataclass(inner):
        return readable(inner, raw)
    if isinstance(raw, str) and inner is not hint and raw.lower() in ("none", "null"):
        return None
    if get_origin(inner) is tuple:
        parts = [part.strip() for part in raw.split(",")] if isinstance(raw, str) else raw
        kinds = get_args(inner)
        return [_plain(part, kinds[0]) for part in parts] if isinstance(parts, list | tuple) else parts
    if isinstance(raw, bool) and inner in (int, float):
        return str(raw)  # no number
    if isinstance(raw, str) and inner is int:
        try:
            return int(float(raw)) if float(raw).is_integer() else raw
        except (ValueError, OverflowError):
            return raw
    return raw
