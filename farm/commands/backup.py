"""`farm backup`."""

from __future__ import annotations

from pathlib import Path

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.settings.checked import Options
from farm.settings.fields import option


class BackupOptions(Options):
    """Where the copy goes."""

    path: Path = option(argument=True, metavar="FILE")
    """The copy to make."""


commands = app()


@commands.command()
@flags
def backup(context: typer.Context, options: BackupOptions, output: CommandOutput) -> None:
    """Copy the ledger to a new file while others may write; the copy is checked."""
    from db.maintenance import backup as copy
    from farm.terminal.backup import backup_json, backup_view

    with context.obj.open() as ledger:
        size = copy(ledger, options.path)
    output.show(lambda: backup_json(options.path, size), lambda: backup_view(options.path, size))
