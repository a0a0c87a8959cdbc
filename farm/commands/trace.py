"""`farm trace`."""

from __future__ import annotations

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.settings.checked import Options
from farm.settings.fields import option


class TraceOptions(Options):
    """What is followed, and how much of it is shown."""

    wanted: str = option(argument=True, metavar="ID", names="snapshot judged producer")
    """As checkpoint:3 or pair:17, a name, a folder, or a hash."""
    limit: int = option(3, at_least=0)
    """Judgements shown under what rests on many."""
    content: bool = False
    """With prompts, replies and outputs, not their lengths alone."""


commands = app()


@commands.command()
@flags
def trace(context: typer.Context, options: TraceOptions, output: CommandOutput) -> None:
    """What a number, a checkpoint or a judgement rests on, down to prompts and replies."""
    from farm.terminal.trace import trace_view
    from farm.trace import trace as follow

    with context.obj.open(read_only=True) as ledger:
        found = follow(ledger, options.wanted, options.limit)
    output.show(lambda: found.to_json(options.content), lambda: trace_view(found, options.content))
