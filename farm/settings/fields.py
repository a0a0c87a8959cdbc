"""One field of a configuration: its type, default, limits, words and flag."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import linecache
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def option(
    default: Any = PydanticUndefined,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    **flag: str | bool | None,
) -> Any:
    """A field with a default, limits of its value, and facts about its flag (farm/commands/flags.py)."""
    limits = {"ge": at_least, "gt": above, "le": at_most, "lt": below}
    given: dict[str, Any] = {name: limit for name, limit in limits.items() if limit is not None}
    return Field(default, json_schema_extra=flag or None, **given)  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class Option:
    """One option, as help and reference pages show it."""

    name: str
    type: str
    default: Any  # dataclasses.MISSING where the option is required
    doc: str


def options(config: type[Any]) -> list[Option]:
    """Every option of a configuration, those of its own class first."""
    own = inspect.get_annotations(config)
    return sorted(options_by_name(config).values(), key=lambda each: each.name not in own)


def options_by_name(config: type[Any]) -> dict[str, Option]:
    """Name -> option of a configuration, in the order of its fields."""
    docs, hints = docs_of(config), hints_of(config)
    return {
        name: Option(name, type_name(bare(hints[name])), default_of(field), docs.get(name, ""))
        for name, field in fields_of(config).items()
    }


def fields_of(config: type[Any]) -> dict[str, FieldInfo]:
    """The fields of a configuration, or of a dataclass whose metadata hold limits and flags."""
    if "__pydantic_fields__" in config.__dict__:
        found: dict[str, FieldInfo] = config.__pydantic_fields__
        return found
    return {
        field.name: option(
            PydanticUndefined if field.default is dataclasses.MISSING else field.default, **field.metadata
        )
        for field in dataclasses.fields(config)
    }


def hints_of(config: type[Any]) -> dict[str, Any]:
    """The types of all fields, with their Annotated parts."""
    return get_type_hints(config, include_extras=True)


def hint_of(config: type[Any], name: str) -> Any:
    """The type of one field, without its Annotated part."""
    return bare(hints_of(config)[name])


def bare(hint: Any) -> Any:
    """A type without what stands beside it in an Annotated."""
    return get_args(hint)[0] if hasattr(hint, "__metadata__") else hint


def default_of(field: FieldInfo) -> Any:
    """The default of a field; dataclasses.MISSING where it is required."""
    return dataclasses.MISSING if field.is_required() else field.default


def flag_of(name: str, field: FieldInfo) -> str | None:
    """The flag of a field; None where it is an argument, or has no flag."""
    said = flag_settings(field)
    if said.get("argument"):
        return None
    flag = said.get("flag", f"--{name.replace('_', '-')}")
    return None if flag is None else str(flag)


def flag_settings(field: FieldInfo) -> Mapping[str, Any]:
    """The flag's facts that were given to `option`."""
    return field.json_schema_extra if isinstance(field.json_schema_extra, Mapping) else {}


def limits_of(field: FieldInfo) -> dict[str, float]:
    """The limits of a field's value, by pydantic's names: ge, gt, le, lt."""
    return {name: getattr(each, name) for each in field.metadata for name in LIMITS if hasattr(each, name)}


def choices_of(hint: Any) -> list[str]:
    """The values that a field can have, where they can be listed."""
    inner = without_none(hint)
    if get_origin(inner) is Literal:
        return [str(each) for each in get_args(inner)]
    if get_origin(inner) is tuple:
        return choices_of(get_args(inner)[0])
    return [str(each.value) for each in inner] if isinstance(inner, type) and issubclass(inner, Enum) else []


def without_none(hint: Any) -> Any:
    """A type without None."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(each for each in get_args(hint) if each is not type(None))
    return hint


def type_name(hint: Any) -> str:
    """The name of a field's type, as help and reference pages show it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(a) for a in arguments)
    if origin is Literal:
        return "|".join(map(str, arguments))
    if origin is tuple:
        return ",".join("..." if a is Ellipsis else type_name(a) for a in arguments)
    return "none" if hint is type(None) else str(hint.__name__)


def docs_of(config: type) -> dict[str, str]:
    """Field name -> the string literal under it, for the class and those it inherits from."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if dataclasses.is_dataclass(cls):
            found |= docs_in(inspect.getsourcefile(cls) or "").get(cls.__qualname__, {})
    return found


@cache
def docs_in(file: str) -> dict[str, dict[str, str]]:
    """Qualified name of each class of a file -> the docs of its fields. A file is parsed once."""
    found: dict[str, dict[str, str]] = {}

    def look(body: list[ast.stmt], place: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                found[place + node.name] = _field_docs(node)
                look(node.body, f"{place}{node.name}.")
            elif isinstance(node, ast.FunctionDef):
                look(node.body, f"{place}{node.name}.<locals>.")

    look(ast.parse("".join(linecache.getlines(file))).body, "")
    return found


def _field_docs(cls: ast.ClassDef) -> dict[str, str]:
    """Field name -> the string literal under it, in one class."""
    return {
        field.target.id: " ".join(doc.value.value.split())
        for field, doc in zip(cls.body, cls.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant)
        if isinstance(doc.value.value, str)
    }


@dataclasses.dataclass(frozen=True)
class Part:
    """The fields of a class that are flags in one place. It stands beside the class in an Annotated.

    only: these fields; () means all. without: none of these, at any depth. flags: field -> another flag.
    words: field -> another meaning. hidden: flags that work but are not in the help. unshared: fields that
    mean something else here, so that a farm.toml does not fill them.
    """

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    flags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    words: Mapping[str, str] = dataclasses.field(default_factory=dict)
    hidden: bool = False
    unshared: tuple[str, ...] = ()


WHOLE = Part()


def part_in(hint: Any) -> Part:
    """The part that stands beside a type in an Annotated; without one, the whole."""
    return next((each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Part)), WHOLE)
