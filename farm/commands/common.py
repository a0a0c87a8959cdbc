"""What the commands share: the options before the command, the output, and the typer app."""

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
    """The options that stand before the command."""

    ledger: str
    debug: bool

    @contextmanager
    def open(self, *, create: bool = False, read_only: bool = False) -> Iterator[Ledger]:
        """Open the ledger of the command."""
        from db.ledger import Ledger

        with Ledger.open(self.ledger, create=create, read_only=read_only) as ledger:
            yield ledger


class CommandOutput(Options):
    """How a command shows its result."""

    as_json: bool = option(False, flag="--json")
    """Print one JSON object and nothing else."""

    def show(self, data: Callable[[], Json], view: Callable[[], Any]) -> None:
        """Print one JSON object, or the view for a person."""
        if self.as_json:
            typer.echo(json.dumps(data(), ensure_ascii=False, allow_nan=False))
            return
        from rich.console import Console

        console = Console(highlight=False)
        console.width = max(console.width, 108)
        console.print(view())

    def say(self, line: str) -> None:
        """Print a line during work; on standard error with --json."""
        typer.echo(line, err=self.as_json)

    def progress(self, unit: str) -> AbstractContextManager[Progress]:
        """Show counts of what is done, unless --json is given."""
        from farm.terminal.progress import progress_of

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
    """The typer app that collects the commands of one module."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, **settings)
