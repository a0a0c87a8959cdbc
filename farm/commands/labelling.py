"""The command that lets people judge pairs themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.commands.common import JsonFlag, Source, Subset, print_

commands = typer.Typer()


@commands.command()
def label(
    context: typer.Context,
    annotator: Annotated[list[str], typer.Option(help="Who judges; repeat it for several people at once.")],
    source: Source = None,
    subset: Subset = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many pairs for each person.")] = None,
    doubt: Annotated[
        str | None, typer.Option(help="Begin with what this annotator doubts; else at random.")
    ] = None,
    catch: Annotated[
        float, typer.Option(help="Catch items for each pair: identical outputs and repeats. 0: none.")
    ] = 0.1,
    guideline: Annotated[
        Path | None, typer.Option(help="A text that people judge by, in place of ours.")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8765,
    as_json: JsonFlag = False,
) -> None:
    """Judge pairs yourself, in the browser, until Ctrl-C."""
    from farm.label import LabelTask
    from farm.label import label as serve
    from farm.terminal.label import label_view

    task = LabelTask(tuple(annotator), source, subset, limit, doubt, catch, guideline, host, port)
    with context.obj.open() as ledger:
        report = serve(ledger, task, lambda line: typer.echo(line, err=as_json))
    print_(as_json, report.to_json, lambda: label_view(report))
