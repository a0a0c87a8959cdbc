"""The command line: lists the commands, and loads the module of the one that is asked for."""

from __future__ import annotations

import gc
import os
import sys
from errno import ENOSPC
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from farm.commands import COMMANDS, module_of, summary_of

if TYPE_CHECKING:
    from typer._click import Command

GARBAGE = 50_000
"""New objects between two collections. Python's own 700 costs an eighth of a short command: imports make
hundreds of thousands of objects that stay."""

LINE = 10_000
"""Characters of an error's line: a name in a file may be as long as the file."""

OLD = "--robustness"
"""The flag of `farm audit` that is a command now. It goes with the next release."""


def load(name: str) -> Command:
    """The command of this name, from the module of its name."""
    command = typer.main.get_command(import_module(module_of(name)).commands)
    command.name = name
    return command


class Commands(TyperGroup):
    """Commands by name and help. A command is loaded when it is called or completed."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """See click."""
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Command | None:  # type: ignore[override]
        """The name with its help alone."""
        return TyperCommand(cmd_name, help=summary_of(cmd_name)) if cmd_name in COMMANDS else None

    def resolve_command(  # type: ignore[override]
        self, ctx: typer.Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        """See click; here the command itself is needed."""
        if args[0] == "audit" and OLD in args:
            typer.echo(f"farm: `farm audit {OLD}` is now `farm robustness`; this spelling will go", err=True)
            args = ["robustness", *(each for each in args[1:] if each != OLD)]
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if command and name else command, rest


app = typer.Typer(
    name="farm",
    help="A sandbox for learning from simulated human feedback.",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would treble the time to the first line of help
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("preference-farm"))
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    ledger: Annotated[
        str | None,
        typer.Option(
            envvar="FARM_LEDGER",
            help="The ledger: a SQLite file or a PostgreSQL URL; else that of farm.toml, else farm.db.",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    from farm.commands.common import Context

    context.obj = Context.of(ledger, debug)


def _refuse_other_bytes(arguments: list[str]) -> None:
    """Raise FarmError where an argument is not UTF-8: the ledger could not hold such a name."""
    for each in arguments:
        try:
            each.encode()
        except UnicodeEncodeError:
            from db.errors import FarmError

            what, remedy = "an argument is not UTF-8", "give the file a name in UTF-8"
            raise FarmError(what, where=each, remedy=remedy) from None


def main() -> None:
    """Run the command line; a FarmError becomes one line on standard error and exit code 1."""
    gc.set_threshold(GARBAGE)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # else it reads what each package declares
    try:
        _refuse_other_bytes([*sys.argv[1:], os.environ.get("FARM_LEDGER", "")])
        app()
    except Exception as error:
        from db.errors import FarmError

        if "--debug" in sys.argv:
            raise
        if isinstance(error, OSError) and error.errno == ENOSPC:
            error = FarmError("there is no room to write", where=str(error.filename or "standard output"))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in its buffer has no room either
        elif isinstance(error, OSError) and error.filename is not None and error.strerror:
            remedy = "check the path and its permissions"
            error = FarmError(error.strerror.lower(), where=str(error.filename), remedy=remedy)
        if not isinstance(error, FarmError):
            raise
        from farm.escaping import printed

        line = printed(f"farm: {error}")
        rest = len(line) - LINE
        typer.echo(line if rest <= 0 else f"{line[:LINE]}... ({rest:,} more characters: --debug)", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
