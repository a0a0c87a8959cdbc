"""`farm quickstart`."""

from __future__ import annotations

from farm.commands.common import CommandOutput, app, flags
from farm.options.quickstart import QuickstartTask

commands = app()


@commands.command()
@flags
def quickstart(_: object, task: QuickstartTask, output: CommandOutput) -> None:
    """AlpacaFarm's whole study in the embedded world: no key, no download, no GPU. Again, it goes on."""
    from farm.quickstart import quickstart as run
    from farm.terminal.quickstart import quickstart_view

    done = run(task, output.say)
    output.show(done.results.to_json, lambda: quickstart_view(done))
