"""Commands that look after the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.commands.common import JsonFlag, print_

commands = typer.Typer()


@commands.command()
def status(
    context: typer.Context,
    contamination: Annotated[
        bool, typer.Option("--contamination", help="Instructions in both a training and an evaluation set.")
    ] = False,
    train: Annotated[list[str] | None, typer.Option(help="Sets or sources to take as training.")] = None,
    evaluation: Annotated[list[str] | None, typer.Option("--eval", help="... and as evaluation.")] = None,
    threshold: Annotated[float, typer.Option(help="Share of common shingles that is too near.")] = 0.6,
    as_json: JsonFlag = False,
) -> None:
    """What the ledger holds."""
    from farm.status import contamination as find
    from farm.status import status as summarise
    from farm.terminal.status import contamination_view, status_view

    with context.obj.open() as ledger:
        if contamination:
            found = find(ledger, tuple(train or ()), tuple(evaluation or ()), threshold)
            print_(as_json, found.to_json, lambda: contamination_view(found))
            return
        summary = summarise(ledger)
    print_(as_json, summary.to_json, lambda: status_view(summary))


@commands.command()
def browse(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8001,
) -> None:
    """Look at the ledger in the browser, with queries worth having, until Ctrl-C."""
    from farm.browse import browse as serve

    with context.obj.open() as ledger:
        serve(ledger, port, typer.echo)


@commands.command()
def trace(
    context: typer.Context,
    wanted: Annotated[
        str, typer.Argument(metavar="ID", help="As checkpoint:3 or pair:17, a name, a folder, or a hash.")
    ],
    limit: Annotated[int, typer.Option(min=0, help="Judgements shown under what rests on many.")] = 3,
    content: Annotated[
        bool, typer.Option("--content", help="With prompts, replies and outputs, not their lengths alone.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """What a number, a checkpoint or a judgement rests on, down to prompts and replies."""
    from farm.terminal.trace import trace_view
    from farm.trace import trace as follow

    with context.obj.open(read_only=True) as ledger:
        found = follow(ledger, wanted, limit)
    print_(as_json, lambda: found.to_json(content), lambda: trace_view(found, content))


@commands.command()
def doctor(
    context: typer.Context,
    base_url: Annotated[str | None, typer.Option(help="See whether a server of models answers here.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """What of the environment and the ledger works, with a remedy for each fault."""
    from farm.doctor import examine
    from farm.terminal.doctor import doctor_view

    findings = examine(context.obj.ledger, base_url)
    print_(as_json, findings.to_json, lambda: doctor_view(findings))
    if not findings.healthy:
        raise typer.Exit(1)


@commands.command()
def backup(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The copy to make.")],
    as_json: JsonFlag = False,
) -> None:
    """Copy the ledger to a new file while others may write; the copy is checked."""
    from db.maintenance import backup as copy

    with context.obj.open() as ledger:
        size = copy(ledger, path)
    print_(as_json, lambda: {"path": str(path), "bytes": size}, lambda: f"{size:,} bytes in {path}, checked")


@commands.command()
def merge(
    context: typer.Context,
    other: Annotated[str, typer.Argument(help="The other ledger: a file or a URL.")],
    keep_ours: Annotated[
        bool, typer.Option("--keep-ours", help="Where judgements differ keep this ledger's, and go on.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Bring another ledger's facts into this one, by content; nothing is doubled."""
    from db.ledger import Ledger
    from db.maintenance import merge as bring
    from farm.terminal.merge import merge_json, merge_view

    with context.obj.open(create=True) as ledger, Ledger.open(other) as theirs:
        merged = bring(ledger, theirs, keep_ours)
    print_(as_json, lambda: merge_json(merged), lambda: merge_view(merged))
