"""Commands that bring facts into the ledger and take them out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.commands.common import AverageOrders, JsonFlag, Source, Subset, print_

commands = typer.Typer()


@commands.command("import")
def import_(
    context: typer.Context,
    format_name: Annotated[
        str, typer.Argument(metavar="FORMAT", help="The files' format; see docs/import.md.")
    ],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files or folders.")],
    source: Annotated[str | None, typer.Option(help="Name the source, where the format does not.")] = None,
    annotator: Annotated[
        str | None, typer.Option(help="Name the annotator, where the format does not.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Its kind: human, llm, rm or gold.")] = None,
    set_name: Annotated[str | None, typer.Option("--set", help="Name the set of the instructions.")] = None,
    use: Annotated[str | None, typer.Option(help="What the set is for: train, validation or eval.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Bring files of the field's formats into the ledger. Again is harmless."""
    from farm.import_ import import_files, read_options
    from farm.terminal.common import progress_of
    from farm.terminal.import_ import import_view

    options = read_options(source, annotator, kind, set_name, use)
    with context.obj.open(create=True) as ledger, progress_of("rows", not as_json) as progress:
        report = import_files(ledger, format_name, paths, options, progress)
    print_(as_json, report.to_json, lambda: import_view(report))


@commands.command()
def export(
    context: typer.Context,
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help="The format to write.")],
    path: Annotated[Path, typer.Argument(help="The file to make.")],
    source: Source = None,
    subset: Subset = None,
    annotator: Annotated[str | None, typer.Option(help="Only this annotator's judgements.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the ledger's judgements in one of the field's formats."""
    from db.queries.exports import RowFilter
    from farm.export import card_path, export_file

    with context.obj.open() as ledger:
        rows = export_file(ledger, format_name, path, RowFilter(source, subset, annotator))
    print_(
        as_json,
        lambda: {"path": str(path), "rows": rows, "card": str(card_path(path))},
        lambda: f"{rows:,} rows in {path}",
    )


@commands.command()
def snapshot(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    annotator: Annotated[
        list[str] | None, typer.Option(help="Whose judgements: a name, or human; repeat it.")
    ] = None,
    source: Source = None,
    subset: Subset = None,
    average_orders: AverageOrders = False,
    as_json: JsonFlag = False,
) -> None:
    """Freeze judgements, by content, for training."""
    from farm.snapshot import Choice
    from farm.snapshot import snapshot as freeze
    from farm.terminal.snapshot import snapshot_view

    with context.obj.open() as ledger:
        report = freeze(ledger, name, Choice(tuple(annotator or ()), source, subset, average_orders))
    print_(as_json, report.to_json, lambda: snapshot_view(report))
