"""`farm report`."""

from __future__ import annotations

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.options.report import Pages, ReportOptions

commands = app()


@commands.command()
@flags
def report(context: typer.Context, pages: Pages, options: ReportOptions, output: CommandOutput) -> None:
    """One self-contained page about the ledger; or its figures for a paper."""
    from farm.report import figures as draw
    from farm.report import report as write
    from farm.terminal.report import report_view, reports_json

    if pages.out is None and pages.figures is None:
        raise typer.BadParameter("name the page, OUT.html, or a folder with --figures")
    with context.obj.open(read_only=True) as ledger:
        made = [write(ledger, pages.out, options)] if pages.out else []
        made += [draw(ledger, pages.figures, options)] if pages.figures else []
    output.show(lambda: reports_json(made), lambda: report_view(made))
