"""`farm export`."""

from __future__ import annotations

from pathlib import Path

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.settings.checked import Options
from farm.settings.fields import option


class ExportOptions(Options):
    """What is written, and where."""

    format_name: str = option(argument=True, metavar="FORMAT", names="written")
    """The format to write."""
    path: Path = option(argument=True)
    """The file to make."""
    source: str | None = option(None, names="source")
    """Only what was imported from this source."""
    subset: str | None = option(None, names="subset")
    """Only this subset of it."""
    annotators: tuple[str, ...] = option((), flag="--annotator", names="kind judged")
    """Only these annotators' judgements: names, or kinds (human, gold, llm, rm, rule). Repeatable."""
    labels: bool = False
    """Write the label after label noise, as a snapshot has it, in place of the verdict."""


commands = app()


@commands.command()
@flags
def export(context: typer.Context, options: ExportOptions, output: CommandOutput) -> None:
    """Write the ledger's judgements in one of the field's formats."""
    from db.queries.exports import RowFilter
    from farm.export import export_file
    from farm.snapshot import annotators_called
    from farm.terminal.export import export_json, export_view

    with context.obj.open() as ledger:
        names = annotators_called(ledger, options.annotators)
        wanted = RowFilter(options.source, options.subset, names, options.labels)
        rows = export_file(ledger, options.format_name, options.path, wanted)
    output.show(lambda: export_json(options.path, rows), lambda: export_view(options.path, rows))
    if not rows and options.annotators:
        raise typer.Exit(1)
