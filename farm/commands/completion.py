"""The names that the shell completes: of the catalogue, of methods and formats, and of what the ledger holds.

A field says `names="judged group"`: the kinds of names that it may be, of `NAMES` or of a ledger. Completion
is silent whatever goes wrong, and loads neither torch nor pandas. It offers no name that a shell would read
as more than a name, such as $(rm x).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import typer

from db.known_names import QUERIES, known_names
from db.records import AnnotatorKind
from farm.settings.project import find_project

Completer = Callable[[typer.Context, str], list[str]]
_PLAIN = re.compile(r"[\w@%+=:,./][\w@%+=:,./-]*")


def _catalogue() -> list[str]:
    from annotators import catalogue

    return catalogue.names()


def _methods() -> Iterable[str]:
    from farm.methods import METHODS

    return METHODS


def _formats() -> Iterable[str]:
    from db.interchange import FORMATS

    return FORMATS


def _written() -> list[str]:
    from db.interchange import FORMATS

    return [name for name, each in FORMATS.items() if each.write]


def _attacks() -> Iterable[str]:
    from farm.evaluation.attacks import ATTACKS

    return ATTACKS


NAMES: Mapping[str, Callable[[], Iterable[str]]] = MappingProxyType(
    {
        "catalogue": _catalogue,
        "method": _methods,
        "format": _formats,
        "written": _written,
        "attack": _attacks,
        "group": lambda: ("human", "gold"),
        "kind": lambda: [each.value for each in AnnotatorKind],
    }
)
"""Kind -> the names of this kind that need no ledger."""


def completer(kinds: str) -> Completer:
    """What completes a name of one of these kinds, which are separated by blanks."""
    unknown = set(kinds.split()) - NAMES.keys() - QUERIES.keys()
    assert not unknown, unknown

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        found: set[str] = set()
        for kind in kinds.split():
            try:
                found |= set(NAMES[kind]() if kind in NAMES else known_names(_ledger(context), kind))
            except Exception:  # the shell shows what is printed: nothing is better
                continue
        return sorted(name for name in found if name.startswith(incomplete) and _PLAIN.fullmatch(name))

    return complete


def _ledger(context: typer.Context) -> str:
    """The ledger of the command that is typed, as farm.commands.common.Context finds it."""
    at: typer.Context | None = context
    while at is not None:
        if named := at.params.get("ledger"):
            return str(named)
        at = at.parent  # type: ignore[assignment]
    return find_project(Path.cwd()).ledger or "farm.db"
