"""`farm ensemble`."""

from __future__ import annotations

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.options.ensemble import EnsembleTask

commands = app()


@commands.command()
@flags
def ensemble(context: typer.Context, task: EnsembleTask, output: CommandOutput) -> None:
    """Make one reward of several reward models: their mean, minimum or lower bound."""
    from farm.ensemble import ensemble as make
    from farm.terminal.ensemble import ensemble_view

    with context.obj.open(read_only=True) as ledger, output.progress("members") as progress:
        report = make(ledger, task, progress)
    output.show(report.to_json, lambda: ensemble_view(report))
