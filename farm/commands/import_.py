"""`farm import`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.options.import_ import Files, ImportOptions, TableOptions

if TYPE_CHECKING:
    from db.interchange.guessing import TableChoice

commands = app()


@commands.command("import")
@flags
def import_(
    context: typer.Context, files: Files, options: ImportOptions, table: TableOptions, output: CommandOutput
) -> None:
    """Bring files of the field's formats into the ledger. Again is harmless."""
    from db.interchange.guessing import inputs
    from farm.import_ import import_files, reading
    from farm.terminal.import_ import import_view

    with inputs(files.format_name, files.paths) as (named, paths):
        chosen = _confirmed(named, paths, table)
        given = replace(reading(options), table=chosen.mapping)
        with context.obj.open(create=True) as ledger, output.progress("rows") as progress:
            report = import_files(ledger, chosen.format_name, paths, given, progress=progress)
    output.show(report.to_json, lambda: import_view(report))
    if report.is_failure:
        raise typer.Exit(1)


def _confirmed(named: str, paths: tuple[Path, ...], table: TableOptions) -> TableChoice:
    """The format and the mapping; a guessed mapping is shown, and taken on a key or with --yes."""
    from db.interchange.guessing import choose, require_clear, unconfirmed
    from db.interchange.table import save
    from farm.terminal.import_ import print_guess

    chosen = choose(named, paths, table)
    require_clear(chosen)
    if chosen.guessed:
        print_guess(chosen)
        if not table.yes and not (sys.stdin.isatty() and typer.confirm("Import so?", err=True)):
            raise unconfirmed(chosen)
    elif named != chosen.format_name:
        typer.echo(f"{paths[0]} looks like the format {chosen.format_name}", err=True)
    if table.save_map is not None and chosen.mapping is not None:
        typer.echo(f"the mapping is in {save(chosen.mapping, table.save_map)}", err=True)
    return chosen
