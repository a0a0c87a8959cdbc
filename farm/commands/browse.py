"""`farm browse`."""

from __future__ import annotations

import typer

from farm.commands.common import app, flags
from farm.settings.checked import Options
from farm.settings.fields import option


class BrowseOptions(Options):
    """Where the page is served."""

    port: int = option(8001, at_least=0, at_most=65535)
    """The port; 0 takes a free one."""


commands = app()


@commands.command()
@flags
def browse(context: typer.Context, options: BrowseOptions) -> None:
    """Look at the ledger in the browser, with queries worth having, until Ctrl-C."""
    from farm.browse import browse as serve
    from farm.terminal.browse import say_where

    with context.obj.open() as ledger:
        serve(ledger, options.port, say_where)
