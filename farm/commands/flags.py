"""Flags made from configuration classes: a command function takes objects, its user types their fields.

    @commands.command()
    @flags
    def audit(context: typer.Context, options: AuditOptions, output: Output) -> None: ...

Every field becomes a flag with its type, default, limits and meaning. A field that holds another class
becomes the flags of that class. A flag that several classes have is given to each of them.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from pydantic.fields import FieldInfo

from db.errors import ConfigError
from farm.commands.completion import completer
from farm.escaping import printed
from farm.settings.checked import Config, build
from farm.settings.fields import (
    Part,
    bare,
    choices_of,
    default_of,
    docs_of,
    fields_of,
    flag_of,
    flag_settings,
    hints_of,
    limits_of,
    part_in,
    without_none,
)
from farm.settings.project import Project
from farm.settings.words import listed

LedgerName = Annotated[str | None, typer.Option("--ledger", help="As before the command.")]
LEDGER = inspect.Parameter("ledger", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=LedgerName)
"""Every command takes the ledger after its name too."""


@dataclasses.dataclass(frozen=True)
class Flag:
    """One flag or argument. path: the parameter of the function, then fields down to the value."""

    path: tuple[str, ...]
    name: str | None  # None: an argument
    hint: Any
    field: FieldInfo
    words: str
    part: Part
    optional: bool = False  # its object may be left out as a whole

    @property
    def key(self) -> str:
        """Flags of one key are one flag."""
        return (self.name or self.path[-1]).split()[0].lstrip("-").replace("-", "_")

    @property
    def default(self) -> object:
        """What the help shows; inspect.Parameter.empty where the flag is required."""
        default = default_of(self.field)
        if default is dataclasses.MISSING or flag_settings(self.field).get("required"):
            return None if self.optional else inspect.Parameter.empty
        if default is None or isinstance(default, tuple):
            return None
        return default.value if isinstance(default, Enum) else default

    @property
    def type(self) -> Any:
        """The type by which typer reads it: choices are texts, which our own check refuses by name."""
        inner = without_none(self.hint)
        several = get_origin(inner) is tuple
        one = get_args(inner)[0] if several else inner
        kind: Any = one if one in (bool, int, float, Path) else str
        if several:
            kind = list[kind]
        return kind if self.default is not None else kind | None

    @property
    def completer(self) -> Callable[..., list[str]] | None:
        """What completes the value: its choices, or names that there are; None where it is free."""
        if choices := choices_of(self.hint):
            return lambda incomplete: [each for each in choices if each.startswith(incomplete)]
        names = flag_settings(self.field).get("names")
        return completer(names) if names else None

    def shared(self, project: Project, given: Mapping[str, Any]) -> object:
        """What the project file says of this flag; None where it says nothing, or the environment says it.

        given: the values of all flags. The field's `unless` names a flag beside which it makes no sense.
        """
        settings = flag_settings(self.field)
        named = settings.get("project")
        if not named or self.path[-1] in self.part.unshared or given.get(settings.get("unless", "")):
            return None
        if os.environ.get(settings.get("variable", "")):
            return None
        return getattr(project, named)

    def parameter(self) -> inspect.Parameter:
        """The parameter that typer makes the flag of."""
        settings, choices = flag_settings(self.field), choices_of(self.hint)
        shared: dict[str, Any] = {
            "help": self.words,
            "metavar": settings.get("metavar") or ("|".join(choices) or None),
            "hidden": self.part.hidden,
            "autocompletion": self.completer,
        }
        if self.name is None:
            info: Any = typer.Argument(**shared)
        else:
            limits = limits_of(self.field)
            if not {"gt", "lt"} & limits.keys():  # typer has no limit that is itself outside
                shared |= {"min": limits.get("ge"), "max": limits.get("le")}
            info = typer.Option(*self.name.split(), **shared)
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(self.key, kind, default=self.default, annotation=Annotated[self.type, info])


def flags(function: Callable[..., None]) -> Callable[..., None]:
    """The function as typer reads it: each parameter of a configuration class becomes flags."""
    hints = get_type_hints(function, include_extras=True)
    classes = {name: _class(hint) for name, hint in hints.items() if _class(hint) is not None}
    found: dict[str, list[Flag]] = {}
    for name, config in classes.items():
        optional = without_none(bare(hints[name])) is not bare(hints[name])
        for flag in _flags_of(config, part_in(hints[name]), (name,)):
            flag = dataclasses.replace(flag, optional=optional)
            found.setdefault(flag.key, []).append(flag)

    def run(context: typer.Context, **given: Any) -> None:
        if ledger := given.pop(LEDGER.name, None):
            context.obj = dataclasses.replace(context.obj, ledger=ledger)
        values: dict[str, dict[str, Any]] = {name: {} for name in classes}
        typed = {
            key for key in given if getattr(context.get_parameter_source(key), "name", "") == "COMMANDLINE"
        }
        project = context.obj.project if context.obj else Project()
        for key, same in found.items():
            if given[key] not in (None, []) and (key in typed or given[key] != same[0].default):
                for flag in same:
                    _put(values, flag.path, given[key])
                continue
            if key not in typed:
                for flag in same:
                    if (shared := flag.shared(project, given)) not in (None, ()):
                        _put(values, flag.path, shared)
                        if flag.path[-1] == "base_url":
                            _tell_where_keys_go(str(shared), project)
        left_out = {
            flag.path[0]
            for flag in (each for same in found.values() for each in same)
            if flag.optional and flag.field.is_required() and given[flag.key] is None
        }
        wanted = {name: config for name, config in classes.items() if name not in left_out}
        function(context, **_built(wanted, values), **dict.fromkeys(left_out))

    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [context, *(_first_shown(same).parameter() for same in found.values()), LEDGER]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__name__, run.__doc__, run.__module__ = function.__name__, function.__doc__, function.__module__
    return run


def _tell_where_keys_go(base_url: str, project: Project) -> None:
    """Name the server that a project file chose, where a key would be sent to it."""
    from annotators.clients.endpoint import Endpoint

    server = Endpoint.from_environment(base_url)
    if server.api_key:
        told = (
            f"farm: your key goes to {server.name}, the base_url of {project.file}, if a judge is asked there"
        )
        typer.echo(printed(told), err=True)


def _class(hint: Any) -> Any:
    """The configuration class that a hint names, or None."""
    inner = without_none(bare(hint))
    return inner if isinstance(inner, type) and dataclasses.is_dataclass(inner) else None


def _first_shown(same: list[Flag]) -> Flag:
    return next((flag for flag in same if not flag.part.hidden), same[0])


def _flags_of(config: type[Any], part: Part, path: tuple[str, ...]) -> Iterator[Flag]:
    """The flags of a class, those of its nested classes in their places."""
    docs, hints = docs_of(config), hints_of(config)
    for name, field in fields_of(config).items():
        if (part.only and name not in part.only) or name in part.without:
            continue
        here = (*path, name)
        if nested := _class(hints[name]):
            inner = part_in(hints[name])
            inner = dataclasses.replace(
                inner, without=inner.without + part.without, hidden=inner.hidden or part.hidden
            )
            if flag_settings(field).get("flag", "") is not None:
                yield from _flags_of(nested, inner, here)
            continue
        flag = part.flags.get(name, flag_of(name, field))
        if flag or flag_settings(field).get("argument"):
            words = part.words.get(name, docs.get(name, ""))
            yield Flag(path=here, name=flag, hint=bare(hints[name]), field=field, words=words, part=part)


def _put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        values = values.setdefault(name, {})
    values[path[-1]] = value


def _built(classes: Mapping[str, Any], values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The objects. Raises one ConfigError with what is wrong in any of them."""
    made, errors = {}, []
    for name, config in classes.items():
        try:
            made[name] = build(config, values[name]) if issubclass(config, Config) else config(**values[name])
        except ConfigError as error:
            errors.append(error)
    if len(errors) > 1:
        raise ConfigError("; ".join(dict.fromkeys(map(str, errors))), remedy=listed(len(errors)))
    if errors:
        raise errors[0]
    return made
