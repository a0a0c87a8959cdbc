"""`farm status`."""

from __future__ import annotations

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.settings.checked import Options
from farm.settings.fields import option


class StatusOptions(Options):
    """What is counted."""

    contamination: bool = False
    """Instructions in both a training and an evaluation set."""
    train: tuple[str, ...] = option((), names="set source")
    """Sets or sources to take as training; repeat it."""
    evaluation: tuple[str, ...] = option((), flag="--eval", names="set source")
    """Sets or sources to take as evaluation; repeat it."""
    threshold: float = 0.6
    """Share of common shingles that is too near."""


commands = app()


@commands.command()
@flags
def status(context: typer.Context, options: StatusOptions, output: CommandOutput) -> None:
    """What the ledger holds."""
    from farm.status import status as summarise
    from farm.terminal.status import contamination_view, status_view

    with context.obj.open() as ledger:
        if options.contamination:
            from farm.evaluation.contamination import contamination as find

            found = find(ledger, options.train, options.evaluation, options.threshold)
            output.show(found.to_json, lambda: contamination_view(found))
            return
        summary = summarise(ledger)
    file = context.obj.project.file
    told = {"project": None if file is None else str(file)}
    output.show(lambda: summary.to_json() | told, lambda: status_view(summary, file))
