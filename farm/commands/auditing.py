"""Commands that measure annotators."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.commands.common import JsonFlag, Source, Subset, print_

commands = typer.Typer()


@commands.command()
def audit(
    context: typer.Context,
    source: Source = None,
    subset: Subset = None,
    annotator: Annotated[list[str] | None, typer.Option(help="Only these annotators; repeat it.")] = None,
    reference: Annotated[str | None, typer.Option(help="human, gold, or the name of an annotator.")] = None,
    by: Annotated[list[str] | None, typer.Option(help="Slice by source or subset; repeat it.")] = None,
    nulls: Annotated[
        str, typer.Option(help="An unreadable verdict counts as wrong, or is dropped: drop.")
    ] = "wrong",
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    csv: Annotated[Path | None, typer.Option(help="Also write the rows to this CSV file.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """How far annotators agree with people, with a gold standard and with each other."""
    from farm.audit import AuditOptions, audit_ledger
    from farm.audit_view import audit_view, write_csv

    options = AuditOptions(
        source, subset, tuple(annotator or ()), reference, nulls, draws, seed, tuple(by or ())
    )
    with context.obj.open() as ledger:
        report = audit_ledger(ledger, options)
    if csv:
        write_csv(report, csv)
    print_(as_json, report.to_json, lambda: audit_view(report))
