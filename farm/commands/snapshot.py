"""`farm snapshot`."""

from __future__ import annotations

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.options.snapshot import Choice
from farm.settings.checked import Options
from farm.settings.fields import option


class SnapshotName(Options):
    """What it is called."""

    name: str = option(argument=True)
    """What to call it."""


commands = app()


@commands.command()
@flags
def snapshot(context: typer.Context, called: SnapshotName, choice: Choice, output: CommandOutput) -> None:
    """Freeze judgements, by content, for training."""
    from farm.snapshot import snapshot as freeze
    from farm.terminal.snapshot import snapshot_view

    with context.obj.open() as ledger:
        report = freeze(ledger, called.name, choice)
    output.show(report.to_json, lambda: snapshot_view(report))
