"""`farm merge`."""

from __future__ import annotations

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.settings.checked import Options
from farm.settings.fields import option


class MergeOptions(Options):
    """What is brought in."""

    other: str = option(argument=True)
    """The other ledger: a file or a URL."""
    keep_ours: bool = False
    """Where judgements differ keep this ledger's, and go on."""


commands = app()


@commands.command()
@flags
def merge(context: typer.Context, options: MergeOptions, output: CommandOutput) -> None:
    """Bring another ledger's facts into this one, by content; nothing is doubled."""
    from db.ledger import Ledger
    from db.maintenance import merge as bring
    from farm.terminal.merge import merge_json, merge_view

    with context.obj.open(create=True) as ledger, Ledger.open(options.other) as theirs:
        merged = bring(ledger, theirs, options.keep_ours)
    output.show(lambda: merge_json(merged), lambda: merge_view(merged))
