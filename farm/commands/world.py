"""`farm world`."""

from __future__ import annotations

from pathlib import Path

import typer

from db.records import PairFilter
from farm.commands.common import CommandOutput, app, flags
from farm.settings.checked import Options
from farm.settings.fields import option


class WorldOptions(Options):
    """Which world, and who of it judges."""

    who: str = option("", argument=True)
    """people or gold: let them judge pairs. Nobody: make the world."""
    seed: int = option(0, at_least=0)
    """Another seed is another world, with other people."""
    scale: str = "small"
    """How many instructions: small, or paper as AlpacaFarm."""
    untrained: Path | None = None
    """Write a model of random weights into this folder, to start from."""
    persons: int = option(1, at_least=1)
    """How many of the people judge each pair."""


commands = app()


@commands.command()
@flags
def world(context: typer.Context, options: WorldOptions, pairs: PairFilter, output: CommandOutput) -> None:
    """Make the embedded world in the ledger, or let its people or its truth judge pairs; twice is as once."""
    from farm.terminal.world import judged_view, world_view
    from farm.world.build import WorldSpec, build, sizes_of

    spec = WorldSpec(seed=options.seed, sizes=sizes_of(options.scale))
    with context.obj.open(create=not options.who) as ledger:
        if options.who:
            from farm.world.people import let_judge

            judged = let_judge(ledger, options.who, spec, pairs, persons=options.persons)
            output.show(judged.to_json, lambda: judged_view(judged))
            return
        made = build(ledger, spec, options.untrained)
    output.show(made.to_json, lambda: world_view(made))
