"""The command line: parses, calls one function of farm, prints. Heavy imports wait until they are needed."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Annotated

import typer

from farm.commands import GROUPS
from farm.commands.common import Context

app = typer.Typer(
    name="farm",
    help="A sandbox for learning from simulated human feedback.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would treble the time to the first line of help
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(importlib.metadata.version("preference-farm"))
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    ledger: Annotated[
        str, typer.Option(envvar="FARM_LEDGER", help="The ledger: a SQLite file or a PostgreSQL URL.")
    ] = "farm.db",
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    context.obj = Context(ledger, debug)


for group in GROUPS:
    app.add_typer(group)


def main() -> None:
    """Run the command line; a FarmError becomes one line on standard error and exit code 1."""
    try:
        app()
    except Exception as error:
        from db.errors import FarmError

        if "--debug" in sys.argv or not isinstance(error, FarmError):
            raise
        from farm.escaping import printed

        typer.echo(printed(f"farm: {error}"), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
