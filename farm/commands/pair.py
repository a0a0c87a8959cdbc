"""`farm pair`."""

from __future__ import annotations

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.options.pair import PairTask, Producers

commands = app()


@commands.command()
@flags
def pair(context: typer.Context, task: PairTask, producers: Producers, output: CommandOutput) -> None:
    """Make pairs of outputs in the ledger; of a producer's, those of its latest decoding."""
    from dataclasses import replace

    from db.queries.outputs import latest
    from farm.pair import pair as make
    from farm.terminal.pair import pair_view

    with context.obj.open() as ledger:
        rival = latest(ledger, producers.against) if producers.against is not None else None
        sources = tuple(latest(ledger, each) for each in producers.of)
        report = make(ledger, replace(task, sources=sources, against=rival))
    output.show(report.to_json, lambda: pair_view(report))
