"""`Config` and `Options`, frozen classes that check themselves, and `build`, which makes them of mappings.

A subclass becomes a frozen pydantic dataclass. A field that only changes an inherited default keeps the
limits and the text. pydantic checks the values. words.py writes the error: it lists all faults at once,
suggests the nearest name, and gives a remedy.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

import pydantic.dataclasses
from pydantic import ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from db.errors import ConfigError
from db.ids import Json
from farm.settings.fields import docs_of, fields_of, flag_of, limits_of
from farm.settings.words import listed, problems_of, readable

if TYPE_CHECKING:
    from pydantic_core import SchemaValidator

C = TypeVar("C", bound="Config")
SETTINGS = ConfigDict(extra="forbid", allow_inf_nan=False)


def _inherit_limits(config: type[Any]) -> None:
    """Keep the limits of a parent's field where a class changes only its default."""
    inherited: dict[str, FieldInfo] = {}
    for base in reversed(config.__mro__[1:]):
        inherited |= base.__dict__.get("__pydantic_fields__", {})
    for name in inspect.get_annotations(config):
        default = config.__dict__.get(name, PydanticUndefined)
        if name in inherited and not isinstance(default, FieldInfo):
            limits: dict[str, Any] = limits_of(inherited[name])
            setattr(
                config, name, Field(default, json_schema_extra=inherited[name].json_schema_extra, **limits)
            )


def _told_in_our_words(config: type[Any]) -> None:
    """Make the constructor raise ConfigError instead of pydantic's own error."""
    construct = config.__init__
    names = [name for name, field in config.__dataclass_fields__.items() if field.init]

    @functools.wraps(construct)
    def checked(self: Any, *values: Any, **named: Any) -> None:
        try:
            construct(self, *values, **named)
        except ValidationError as error:
            given = dict(zip(names, values, strict=False)) | named
            raise config.refusal([text for _, text in problems_of(config, error, given)]) from None

    config.__init__ = checked


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Config:
    """The base of all configurations. A subclass is a frozen dataclass whose fields are given by name."""

    _by_name: ClassVar[bool] = True
    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
        __pydantic_fields__: ClassVar[dict[str, FieldInfo]]
        __pydantic_validator__: ClassVar[SchemaValidator]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        _inherit_limits(cls)
        pydantic.dataclasses.dataclass(frozen=True, kw_only=cls._by_name, config=SETTINGS)(cls)
        _told_in_our_words(cls)

    def problems(self) -> list[str]:
        """What is wrong between fields that are each right alone, one clause each."""
        return []

    def __post_init__(self) -> None:
        if found := self.problems():
            raise self.refusal(found)

    @classmethod
    def called(cls, name: str) -> str:
        """The name of a field in an error."""
        return name

    @classmethod
    def refusal(cls, problems: Sequence[str]) -> ConfigError:
        """One ConfigError that lists every problem."""
        return ConfigError("; ".join(problems), where=cls.__name__, remedy=listed(len(problems)))


@dataclass_transform(frozen_default=True, kw_only_default=False)
class Options(Config):
    """The base of a command's options. Its fields are flags, errors name the flags, and order counts."""

    _by_name = False

    @classmethod
    def called(cls, name: str) -> str:
        """The name of a field in an error: its flag, or the name of the argument."""
        return flag_of(name, fields_of(cls)[name]) or name if name in fields_of(cls) else name

    @classmethod
    def refusal(cls, problems: Sequence[str]) -> ConfigError:
        """One ConfigError. A single problem has what was expected as its remedy."""
        if len(problems) > 1:
            return ConfigError("; ".join(problems), remedy=listed(len(problems)))
        what, _, expected = problems[0].partition(", expected ")
        return ConfigError(what, remedy=re.sub(r"^one of ([^,]+), ([^,]+)$", r"\1 or \2", expected))


def build(config: type[C], *sources: Mapping[str, object], where: Sequence[str] = ()) -> C:
    """Make a configuration from mappings; a later one wins. Texts are read as the field's type.

    where: the name of each source in an error. Raises one ConfigError that lists everything that is wrong.
    """
    values: dict[str, object] = {}
    places: dict[str, str] = {}
    for number, source in enumerate(sources):
        given = {str(key).replace("-", "_"): value for key, value in source.items()}
        values |= given
        places |= dict.fromkeys(given, f"{where[number]}: " if number < len(where) else "")
    try:
        return config.__pydantic_validator__.validate_python(readable(config, values))  # type: ignore[no-any-return]
    except ValidationError as error:
        order = {name: place for place, name in enumerate(values)}  # what is missing comes last
        told = sorted(problems_of(config, error, values), key=lambda each: order.get(each[0], len(order)))
        found = [f"{places.get(name, '')}{text}" for name, text in told]
        raise config.refusal(found) from None


def schema_of(config: type[Config]) -> dict[str, Json]:
    """The JSON Schema of a mapping that `build` takes, with the fields' own texts."""
    schema: dict[str, Any] = pydantic.TypeAdapter(config).json_schema()
    for name, said in docs_of(config).items():
        schema["properties"][name]["description"] = said
    return schema


def read_yaml(path: Path) -> dict[str, object]:
    """The mapping in a YAML file; an empty file gives an empty one. Raises ConfigError on anything else."""
    from annotators.strict_yaml import read_yaml as read_strictly  # YAML loads only where a file is given

    loaded = read_strictly(path)
    if loaded is not None and not isinstance(loaded, dict):
        raise ConfigError(
            "not a mapping of options", where=str(path), remedy="write lines such as `epochs: 2`"
        )
    return loaded or {}
