"""YAML read strictly: unknown, missing, doubled and ill-typed entries are errors, reported at once."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Hashable, Iterable, Sequence
from copy import deepcopy
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from db.errors import ConfigError
from db.ids import Json

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
LARGEST = 10**100
TAG = "tag:yaml.org,2002:"
PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")
SURROGATE = re.compile("[\ud800-\udfff]")

E = TypeVar("E", bound=StrEnum)


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's parser is ten times as fast


class _StrictLoader(_Loader):  # type: ignore[misc]
    """A safe loader of plain values: no doubled keys, no tags of YAML's own such as !!set, no dates
    (2026-01-31 is a text), no merges, and no number beyond LARGEST.
    """

    yaml_constructors = {  # noqa: RUF012 (as in the parent)
        tag: construct
        for tag, construct in _Loader.yaml_constructors.items()
        if tag is None or tag.removeprefix(TAG) in PLAIN
    }
    yaml_implicit_resolvers = {  # noqa: RUF012 (as in the parent)
        first: [each for each in found if each[0].removeprefix(TAG) in PLAIN]
        for first, found in _Loader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            fault = _fault(value)
        except (ArithmeticError, LookupError, ValueError):  # what PyYAML lets through
            fault = f"{node.value!r:.60} cannot be read as {node.tag.rpartition(':')[2]}"
        if fault:
            raise yaml.constructor.ConstructorError(None, None, fault, node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            text = str(key.value)
            if text in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {text!r:.60} stands twice", key.start_mark
                )
            seen.add(text)
        made: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return made


def _require_small(text: str) -> None:
    """Raise ComposerError for aliases, which can make a small text huge, and for what is nested too deep."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        mark: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not read here", mark)
        if isinstance(event, yaml.NodeEvent) and depth == MAX_DEPTH:
            raise yaml.composer.ComposerError(None, None, f"nested more than {MAX_DEPTH} deep", mark)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _fault(value: object) -> str:
    """What is wrong with a value that was read; empty where nothing is."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"a whole number of more than {len(str(LARGEST)) - 1} digits"
    if isinstance(value, str) and not value.isascii() and SURROGATE.search(value):
        return "a text holds half a character (write such a character itself, or as \\U and eight digits)"
    return ""


def read_yaml(path: Path) -> object:
    """The content of a YAML file. Raises ConfigError where it cannot be read."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(f"{size} bytes are too many for such a file", where=str(path))
        return deepcopy(_parsed(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"not readable YAML: {said}", where=str(path)) from None


@lru_cache(maxsize=256)
def _parsed(text: str) -> object:
    """The content of a text of YAML. A text is parsed once: a pool's members are few texts, read often."""
    _require_small(text)
    loader = _StrictLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the nearest known name, for the end of an error text."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f", did you mean {near[0]!r}?" if near else f" (known: {', '.join(known)})"


class Reader:
    """Takes the entries of one mapping, one by one, and collects what is wrong in `problems`.

    A faulty entry gives its default or an empty value, so that reading goes on to the next fault.
    """

    def __init__(self, data: object, place: str = "", problems: list[str] | None = None) -> None:
        self.problems: list[str] = [] if problems is None else problems
        self._place = place
        self._taken: set[str] = set()
        self._data: dict[str, object] = {}
        if isinstance(data, dict):
            self._data = {str(key): value for key, value in data.items()}
        else:
            self.complain("", "expected a mapping")

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def complain(self, key: str, what: str) -> None:
        """Add a problem of one entry."""
        place = ".".join(part for part in (self._place, key) if part)
        self.problems.append(f"{place}: {what}" if place else what)

    def complain_all(self, key: str, faults: Iterable[str]) -> None:
        """Add several problems of one entry."""
        for what in faults:
            self.complain(key, what)

    def text(self, key: str, default: str | None = None) -> str:
        """A text. It is required where there is no default."""
        value = self.take(key, default)
        if isinstance(value, str) and (value.strip() or value == default):
            return value
        if value is not None:
            self.complain(key, f"expected a text, not {value!r:.60}")
        return default or ""

    def choice(self, key: str, kind: type[E], default: E | None = None) -> E:
        """One of the values of an enum."""
        value = self.take(key, default)
        names = [member.value for member in kind]
        if value in names:
            return kind(value)
        if value is not None:
            self.complain(key, f"{value!r:.60} is none of its values{nearest(str(value), names)}")
        return default or next(iter(kind))

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A number within bounds."""
        value = self.take(key, default)
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        self.complain(key, f"expected a number from {low:g} to {high:g}, not {value!r:.60}")
        return default

    def maybe_number(self, key: str, low: float, high: float = math.inf) -> float | None:
        """A number within bounds, or None where it is left out."""
        self._taken.add(key)
        return self.number(key, low, low, high) if key in self else None

    def integer(self, key: str, default: int, low: int, high: int = 2**31) -> int:
        """A whole number within bounds."""
        value = self.take(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.complain(key, f"expected a whole number from {low} to {high}, not {value!r:.60}")
        return default

    def maybe_integer(self, key: str, low: int) -> int | None:
        """A whole number within bounds, or None where it is left out."""
        self._taken.add(key)
        return self.integer(key, low, low) if key in self else None

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.take(key, default)
        if isinstance(value, bool):
            return value
        self.complain(key, f"expected true or false, not {value!r:.60}")
        return default

    def texts(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """A list of texts; one text alone is a list of one."""
        value = self.take(key, list(default))
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(item, str) and item for item in items):
            return tuple(items)
        self.complain(key, f"expected texts, not {value!r:.60}")
        return tuple(default)

    def items(self, key: str) -> list[object]:
        """The entries of a list."""
        value = self.take(key, [])
        if isinstance(value, list):
            return value
        self.complain(key, f"expected a list, not {value!r:.60}")
        return []

    def readers(self, key: str) -> list[Reader]:
        """A list of mappings."""
        return [
            Reader(value, f"{self._place}{'.' * bool(self._place)}{key}[{i}]", self.problems)
            for i, value in enumerate(self.items(key))
        ]

    def reader(self, key: str) -> Reader:
        """A mapping within this one; empty where it is left out."""
        place = f"{self._place}{'.' * bool(self._place)}{key}"
        return Reader(self.take(key, {}), place, self.problems)

    def json(self, key: str) -> dict[str, Json]:
        """A mapping of JSON values, left as it is."""
        return self._as_json(key, self.take(key, {}))

    def rest(self) -> dict[str, Json]:
        """All entries that were not taken yet, as JSON values."""
        left = {key: value for key, value in self._data.items() if key not in self._taken}
        self._taken |= set(left)
        return self._as_json("", left)

    def _as_json(self, key: str, value: object) -> dict[str, Json]:
        if isinstance(value, dict) and _is_json(value):
            return value
        self.complain(key, "expected a mapping of plain values with texts as keys")
        return {}

    def take(self, key: str, default: object) -> object:
        """The raw value of an entry; from now on it counts as taken."""
        self._taken.add(key)
        if key not in self._data:
            if default is None:
                self.complain(key, "is required")
            return default
        value = self._data[key]
        if value is None:
            self.complain(key, "has no value")
            return default
        return value

    def over(self, data: object) -> Reader:
        """A reader of other data, which reports its problems at the same place."""
        return Reader(data, self._place, self.problems)

    def close(self) -> None:
        """Report the entries that nobody took."""
        for key in sorted(self._data.keys() - self._taken):
            self.complain(key, f"unknown key{nearest(key, self._taken)}")

    def finish(self, where: str, remedy: str) -> None:
        """Raise one ConfigError with all problems, if there are any."""
        self.close()
        if self.problems:
            raise ConfigError("; ".join(self.problems), where=where, remedy=remedy)


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_json(item) for item in value)
    return (
        value is None
        or isinstance(value, str | bool | int)
        or (isinstance(value, float) and math.isfinite(value))
    )
