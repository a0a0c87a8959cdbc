"""`farm audit`."""

from __future__ import annotations

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.options.audit import AuditOptions, CsvFile

commands = app()


@commands.command()
@flags
def audit(context: typer.Context, options: AuditOptions, table: CsvFile, output: CommandOutput) -> None:
    """How far annotators agree with people, with a gold standard and with each other."""
    from farm.audit import audit_ledger
    from farm.terminal.audit import audit_view, write_csv

    with context.obj.open() as ledger:
        report = audit_ledger(ledger, options)
    if table.csv:
        write_csv(report, table.csv)
    output.show(report.to_json, lambda: audit_view(report))
    if not all(rule.holds for rule in report.rules):
        raise typer.Exit(1)
