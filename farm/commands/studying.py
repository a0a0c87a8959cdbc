"""Commands that run whole studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.commands.common import JsonFlag, print_

commands = typer.Typer()


@commands.command()
def quickstart(
    out: Annotated[
        Path, typer.Option(help="The folder of everything; again, the study goes on there.")
    ] = Path("quickstart"),
    scale: Annotated[str, typer.Option(help="small: minutes; paper: AlpacaFarm's sizes, an hour.")] = "small",
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another world.")] = 0,
    processes: Annotated[int | None, typer.Option(min=1, help="Side by side; else one a core.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """AlpacaFarm's whole study in the embedded world: no key, no download, no GPU. Again, it goes on."""
    from farm.studies.quickstart import QuickstartTask
    from farm.studies.quickstart import quickstart as run
    from farm.studies.view import quickstart_view

    task = QuickstartTask(out, scale, seed, processes)
    done = run(task, lambda line: typer.echo(line, err=as_json))
    print_(as_json, done.results.to_json, lambda: quickstart_view(done))
