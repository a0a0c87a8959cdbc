"""`farm methods [NAME]`."""

from __future__ import annotations

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.settings.checked import Options
from farm.settings.fields import option


class MethodsShown(Options):
    """What is shown."""

    name: str | None = option(None, argument=True, names="method")
    """Show this one whole: equation, differences from the paper, options."""
    snapshot: str | None = option(None, names="snapshot")
    """Say how many rows this snapshot gives each method."""


commands = app()


@commands.command()
@flags
def methods(context: typer.Context, shown: MethodsShown, output: CommandOutput) -> None:
    """List the training methods with what they need, or show one."""
    from farm.objectives import detail, objectives
    from farm.terminal.methods import method_view, methods_view

    if shown.name is not None:
        if shown.snapshot is not None:
            raise typer.BadParameter("--snapshot is for the table of all methods: leave NAME or it out")
        found = detail(shown.name)
        output.show(found.to_json, lambda: method_view(found))
        return
    if shown.snapshot is None:
        table = objectives()
    else:
        with context.obj.open() as ledger:
            table = objectives(ledger, shown.snapshot)
    output.show(table.to_json, lambda: methods_view(table))
