"""The command that makes the embedded world, and lets those who live in it judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.commands.common import JsonFlag, Source, Subset, print_

commands = typer.Typer()


@commands.command()
def world(
    context: typer.Context,
    who: Annotated[
        str, typer.Argument(help="people or gold: let them judge pairs. Nobody: make the world.")
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another world, with other people.")] = 0,
    scale: Annotated[
        str, typer.Option(help="How many instructions: small, or paper as AlpacaFarm.")
    ] = "small",
    untrained: Annotated[
        Path | None, typer.Option(help="Write a model of random weights into this folder, to start from.")
    ] = None,
    persons: Annotated[int, typer.Option(min=1, help="How many of the people judge each pair.")] = 1,
    source: Source = None,
    subset: Subset = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many pairs.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make the embedded world in the ledger, or let its people or its truth judge pairs; twice is as once."""
    from db.ledger import PairFilter
    from farm.terminal.world import judged_view, world_view
    from farm.world.build import WorldSpec, sizes_of

    spec = WorldSpec(seed=seed, sizes=sizes_of(scale))
    with context.obj.open(create=not who) as ledger:
        if who:
            from farm.world.people import let_judge

            judged = let_judge(ledger, who, spec, PairFilter(source, subset, limit), persons)
            print_(as_json, judged.to_json, lambda: judged_view(judged))
            return
        from farm.world.build import build

        made = build(ledger, spec, untrained)
    print_(as_json, made.to_json, lambda: world_view(made))
