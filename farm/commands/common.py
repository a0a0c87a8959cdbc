"""What the commands share: the options before the command, the output, and the typer app."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from db.errors import FarmError
from farm.commands.flags import LedgerName, flags
from farm.escaping import printed
from farm.settings.checked import Options
from farm.settings.fields import Part, option
from farm.settings.project import Project, find_project

if TYPE_CHECKING:
    from db.ids import Json
    from db.ledger import Ledger
    from farm.progress import Progress

AGAIN = "what is done is kept; the same command goes on from there"
__all__ = ["CommandOutput", "Context", "app", "flags", "judges"]


@dataclass(frozen=True)
class Context:
    """The options that stand before the command."""

    ledger: str
    debug: bool
    project: Project

    @classmethod
    def of(cls, ledger: str | None, debug: bool) -> Context:
        """The ledger that was named, else that of the farm.toml, else farm.db. Raises ConfigError."""
        project = find_project(Path.cwd())
        return cls(ledger or project.ledger or "farm.db", debug, project)

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

        from farm.terminal.common import print_whole

        print_whole(Console(highlight=False), view())

    def say(self, line: str) -> None:
        """Print a line during work; on standard error with --json."""
        typer.echo(line, err=self.as_json)

    @contextmanager
    def progress(self, unit: str) -> Iterator[Progress]:
        """Show counts of what is done, unless --json is given.

        What ends the work early, Ctrl-C or a RunStopped, says what was done and how to go on.
        """
        from farm.terminal.progress import progress_of

        done: dict[str, int] = {}
        with progress_of(unit, not self.as_json) as advance:

            def count(name: str, number: int, total: int | None = None, /) -> None:
                done[name.partition("; ")[0]] = number
                advance(name, number, total)

            try:
                yield count
            except KeyboardInterrupt:
                typer.echo(f"farm: stopped{_so_far(done, unit)} ({AGAIN})", err=True)
                raise
            except FarmError as error:
                from annotators.clients.failures import BudgetExhausted

                if isinstance(error, BudgetExhausted):
                    error.what += _so_far(done, unit)
                raise


def _so_far(done: Mapping[str, int], unit: str) -> str:
    """How much was done, of each name, such as "; plain: 36 judgements so far"."""
    said = ", ".join(f"{printed(name)}: {number:,} {unit}" for name, number in done.items())
    return f"; {said} so far" if said else "; nothing was done yet"


def judges(*more: str, base_url: str, max_cost: str) -> Part:
    """The flags of a Provider that judges for a command of another purpose: --judge-model and its server.

    more: fields that are flags too. base_url, max_cost: the help of these two.
    """
    return Part(
        only=("models", "base_url", "max_cost", *more),
        flags={"models": "--judge-model"},
        words={
            "models": "As `farm annotate --model`.",
            "base_url": base_url,
            "max_cost": max_cost,
            "local": "Run --judge-model DIR (a causal language model) in this process.",
        },
    )


def app(**settings: Any) -> typer.Typer:
    """The typer app that collects the commands of one module. With `help` it is a group of commands."""
    made = typer.Typer(add_completion=False, rich_markup_mode=None, **settings)
    if "help" in settings:
        made.callback()(of_group)
    return made


def of_group(context: typer.Context, ledger: LedgerName = None) -> None:
    """Between the names of a group and of its command the ledger may stand too."""
    if ledger:
        context.obj = replace(context.obj, ledger=ledger)
