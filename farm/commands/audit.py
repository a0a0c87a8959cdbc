"""`farm audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.commands.robustness import JUDGES, run
from farm.judging.provider import Provider
from farm.options.audit import AuditOptions, CsvFile
from farm.options.robustness import RobustnessTask
from farm.settings.checked import Options
from farm.settings.fields import Part

OLD = "`farm audit --robustness` is now `farm robustness`, and this spelling will go with the next release"


class Before(Options):
    """How the robustness audit was asked for before it had a command of its own."""

    robustness: bool = False
    """Now `farm robustness`."""


commands = app()


@commands.command()
@flags
def audit(
    context: typer.Context,
    options: AuditOptions,
    table: CsvFile,
    output: CommandOutput,
    before: Annotated[Before, Part(hidden=True)],
    task: Annotated[RobustnessTask, Part(hidden=True)],
    provider: Annotated[Provider, Part(only=JUDGES.only, hidden=True)],
) -> None:
    """How far annotators agree with people, with a gold standard and with each other."""
    if before.robustness:
        typer.echo(f"farm: {OLD}", err=True)
        run(context, task, provider, output)
        return
    from farm.audit import audit_ledger
    from farm.terminal.audit import audit_view, write_csv

    with context.obj.open() as ledger:
        report = audit_ledger(ledger, options)
    if table.csv:
        write_csv(report, table.csv)
    output.show(report.to_json, lambda: audit_view(report))
