"""`farm label`."""

from __future__ import annotations

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.options.label import LabelTask

commands = app()


@commands.command()
@flags
def label(context: typer.Context, task: LabelTask, output: CommandOutput) -> None:
    """Judge pairs yourself, in the browser, until Ctrl-C."""
    from farm.label import label as serve
    from farm.terminal.label import label_view

    with context.obj.open() as ledger:
        report = serve(ledger, task, output.say)
    output.show(report.to_json, lambda: label_view(report))
