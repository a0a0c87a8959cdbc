"""What the commands share: the options before the command, how they say what came of it, and their apps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from farm.commands.flags import flags
from farm.settings.checked import Options
from farm.settings.fields import Part, option

if TYPE_CHECKING:
    from db.ids import Json
    from db.ledger import Ledger
    from farm.progress import Progress

__all__ = ["CommandOutput", "Context", "app", "flags", "judges"]


@dataclass(frozen=True)
class Context:
    """What the options before the command say."""

    ledger: str
    debug: bool

    @contextmanager
    def open(self, *, create: bool = False, read_only: bool = False) -> Iterator[Ledger]:
        from db.ledger import Ledger

        with Ledger.open(self.ledger, create=create, read_only=read_only) as ledger:
            yield ledger


class CommandOutput(Options):
    """How a command says what came of it."""

    as_json: bool = option(False, flag="--json")
    """Print one JSON object and nothing else."""

    def show(self, data: Callable[[], Json], view: Callable[[], Any]) -> None:
        """One JSON object, or what a person would rather read."""
        if self.as_json:
            typer.echo(json.dumps(data(), ensure_ascii=False, allow_nan=False))
            return
        from rich.console import Console

        console = Console(highlight=False)
        console.width = max(console.width, 108)
        console.print(view())

    def say(self, line: str) -> None:
        """A line on the way; on standard error where standard output has the JSON object alone."""
        typer.echo(line, err=self.as_json)

    def progress(self, unit: str) -> AbstractContextManager[Progress]:
        """Counts of what is done, for a person who looks on."""
        from farm.terminal.common import progress_of

        return progress_of(unit, not self.as_json)


def judges(*more: str, base_url: str, max_cost: str) -> Part:
    """The flags of a Provider that judges for a command of another purpose: --judge-model and its server.

    more: fields that are flags too. base_url, max_cost: the help of these two.
    """
    return Part(
        only=("models", "base_url", "max_cost", *more),
        flags={"models": "--judge-model"},
        words={"models": "As `farm annotate --model`.", "base_url": base_url, "max_cost": max_cost},
    )


def app(**settings: Any) -> typer.Typer:
    """What the commands of one module are collected in."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, **settings)
