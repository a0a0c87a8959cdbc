"""JSON Schemas of annotators' files, for editors: made by the readers that read these files.

A `SchemaReader` stands in for a `Reader`. It writes down which keys are asked for, with their types and
limits, and answers with values that are right, so that reading goes on to the next key.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from annotators.composite import AnyAnnotator
from annotators.composite_files import CHANGES, read_composite
from annotators.families import Families
from annotators.pool import CHANGEABLE, read_pool
from annotators.spec import AnnotatorSpec, Library, read_spec
from annotators.strict_yaml import Reader
from db.ids import Json
from db.records import COMPOSITES, AnnotatorKind

DRAFT = "https://json-schema.org/draft/2020-12/schema"
PROMPT = "prompt.jinja"
KINDS = (AnnotatorKind.LLM, AnnotatorKind.REWARD_MODEL, AnnotatorKind.RULE)  # that a file can have
ENDLESS = 2**31  # the reader's limit where there is none

E = TypeVar("E", bound=StrEnum)


class SchemaReader(Reader):
    """A reader of no file. given: values and keys that the file is taken to have."""

    def __init__(self, given: Mapping[str, object] | None = None) -> None:
        super().__init__(dict(given or {}))
        self._asked: dict[str, Json | SchemaReader | list[SchemaReader]] = {}
        self._required: set[str] = set()
        self._open = False

    @property
    def schema(self) -> dict[str, Json]:
        """What was asked for, as a schema of a mapping."""
        return {
            "type": "object",
            "properties": {key: _schema_of(asked) for key, asked in self._asked.items()},
            "required": [key for key in self._asked if key in self._required],
            "additionalProperties": self._open,
        }

    def allow(self, other: SchemaReader, keys: Collection[str]) -> None:
        """Allow these keys as the other reader has them, and no more than was asked for."""
        self._asked |= {key: asked for key, asked in other._asked.items() if key in keys}
        self._open = False

    def complain(self, key: str, what: str) -> None:
        """No file, no fault."""

    def text(self, key: str, default: str | None = None) -> str:
        """A text; returns the default, or the key itself."""
        self._write(key, {"type": "string"}, default)
        return str(self._data.get(key, default or key))

    def choice(self, key: str, kind: type[E], default: E | None = None) -> E:
        """One of an enum's values; returns the default, or the first of them."""
        self._write(key, {"enum": [member.value for member in kind]}, default)
        return kind(str(self._data.get(key, default or next(iter(kind)))))

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A number in [low, high]; returns the default."""
        self._write(key, {"type": "number", **_limits(low, high)}, default)
        return default

    def maybe_number(self, key: str, low: float, high: float = math.inf) -> float | None:
        """A number in [low, high], or nothing; returns None."""
        self._write(key, {"type": "number", **_limits(low, high)}, low)
        return None

    def integer(self, key: str, default: int, low: int, high: int = ENDLESS) -> int:
        """A whole number in [low, high]; returns the default."""
        self._write(key, {"type": "integer", **_limits(low, high)}, default)
        return default

    def maybe_integer(self, key: str, low: int) -> int | None:
        """A whole number of at least `low`, or nothing; returns None."""
        self._write(key, {"type": "integer", **_limits(low, ENDLESS)}, low)
        return None

    def flag(self, key: str, default: bool) -> bool:
        """True or false; returns the default."""
        self._write(key, {"type": "boolean"}, default)
        return default

    def texts(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """A text or a list of texts; returns the default."""
        text: dict[str, Json] = {"type": "string"}
        self._write(key, {"anyOf": [text, {"type": "array", "items": text}]}, default)
        return tuple(default)

    def json(self, key: str) -> dict[str, Json]:
        """Any mapping; returns an empty one."""
        self._write(key, {"type": "object"}, {})
        return {}

    def rest(self) -> dict[str, Json]:
        """Allow any other keys; returns an empty mapping."""
        self._open = True
        return {}

    def take(self, key: str, default: object) -> object:
        """A value of any type; returns None."""
        self._write(key, {}, default or ())
        return None

    def reader(self, key: str) -> Reader:
        """A mapping of its own; returns the reader for it."""
        inner = SchemaReader()
        self._write(key, inner, {})
        return inner

    def readers(self, key: str) -> list[Reader]:
        """A list of mappings; returns one reader for all of them."""
        inner = SchemaReader()
        self._write(key, [inner], ())
        return [inner]

    def _write(self, key: str, asked: Json | SchemaReader | list[SchemaReader], default: object) -> None:
        self._asked[key] = asked
        if default is None:
            self._required.add(key)


def _schema_of(asked: Json | SchemaReader | list[SchemaReader]) -> Json:
    if isinstance(asked, SchemaReader):
        return asked.schema
    if isinstance(asked, list) and asked and isinstance(asked[0], SchemaReader):
        return {"type": "array", "items": asked[0].schema}
    return asked  # type: ignore[return-value]


def _limits(low: float, high: float) -> dict[str, Json]:
    """The limits that a reader has; ENDLESS is none."""
    found: dict[str, Json] = {"minimum": low}
    return found if high >= ENDLESS else found | {"maximum": high}


def _annotator(kind: AnnotatorKind, *more: str) -> SchemaReader:
    """What an annotator of one kind may have. more: keys that the file has, on which others depend."""
    reader = SchemaReader({"kind": kind.value, "prompt": PROMPT, **{key: {} for key in more}})
    read_spec(reader, {PROMPT: ""}, Library())
    return reader


def annotator_schema() -> dict[str, Json]:
    """The schema of annotator.yaml: its keys follow from its kind, and from whether it reads recordings."""
    asked = {kind: _annotator(kind).schema for kind in KINDS}
    recorded = _annotator(AnnotatorKind.LLM, "recorded").schema
    asking: Json = {"if": {"required": ["recorded"]}, "then": recorded, "else": asked[AnnotatorKind.LLM]}
    parts: list[Json] = []
    for kind in KINDS:
        then: Json = asking if kind is AnnotatorKind.LLM else asked[kind]
        parts.append({"if": {"properties": {"kind": {"const": kind.value}}}, "then": then})
    kinds: Json = {"enum": [kind.value for kind in KINDS]}
    return {
        "$schema": DRAFT,
        "title": "An annotator of Preference Farm: annotator.yaml",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": kinds},
        "allOf": parts,
    }


def composite_schema() -> dict[str, Json]:
    """The schema of the file of a panel or a cascade: its keys follow from its kind."""
    parts: list[Json] = []
    for kind in COMPOSITES:
        then = _composite(kind).schema
        parts.append({"if": {"properties": {"kind": {"const": kind.value}}}, "then": then})
    kinds: Json = {"enum": [kind.value for kind in COMPOSITES]}
    return {
        "$schema": DRAFT,
        "title": "A panel or a cascade of Preference Farm",
        "type": "object",
        "required": ["kind", "members"],
        "properties": {"kind": kinds},
        "allOf": parts,
    }


def _composite(kind: AnnotatorKind) -> SchemaReader:
    reader = SchemaReader({"kind": kind.value, "contested": {}})

    def read_judge(base: str, changes: Mapping[str, object], line: Reader) -> AnyAnnotator | None:
        assert isinstance(line, SchemaReader)
        line.allow(_annotator(AnnotatorKind.LLM), CHANGES)
        return None

    read_composite(reader, read_judge, Families())
    return reader


def pool_schema() -> dict[str, Json]:
    """The schema of a pool's file. A pool that is `like` another may leave out what it has in common."""
    reader = SchemaReader()

    def read_member(base: str, changes: Mapping[str, object], line: Reader) -> AnnotatorSpec | None:
        assert isinstance(line, SchemaReader)
        line.allow(_annotator(AnnotatorKind.LLM), CHANGEABLE)
        return None

    reader.text("like", "")
    read_pool(reader, read_member)
    whole: list[Json] = [{"required": ["like"]}, {"required": ["members"]}]
    return {
        "$schema": DRAFT,
        "title": "A pool of annotators of Preference Farm",
        **reader.schema,
        "anyOf": whole,
    }
