"""`farm import`."""

from __future__ import annotations

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.options.import_ import Files, ImportOptions

commands = app()


@commands.command("import")
@flags
def import_(context: typer.Context, files: Files, options: ImportOptions, output: CommandOutput) -> None:
    """Bring files of the field's formats into the ledger. Again is harmless."""
    from farm.import_ import import_files, reading
    from farm.terminal.import_ import import_view

    with context.obj.open(create=True) as ledger, output.progress("rows") as progress:
        report = import_files(ledger, files.format_name, files.paths, reading(options), progress=progress)
    output.show(report.to_json, lambda: import_view(report))
