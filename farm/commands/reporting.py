"""The command that makes pages and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.commands.common import JsonFlag, Source, Subset, print_

commands = typer.Typer()


@commands.command()
def report(
    context: typer.Context,
    out: Annotated[Path | None, typer.Argument(metavar="OUT.html", help="The page to write.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Write each figure as PDF, PNG and CSV here.")] = None,
    source: Source = None,
    subset: Subset = None,
    study: Annotated[Path | None, typer.Option(help="Results of a validation: its study.json.")] = None,
    subject: Annotated[str, typer.Option(help="What the page is about.")] = "Preference Farm",
    pairs: Annotated[int, typer.Option(min=0, help="Disagreements shown, at most.")] = 40,
    as_json: JsonFlag = False,
) -> None:
    """One self-contained page about the ledger; or its figures for a paper."""
    from farm.report import ReportOptions
    from farm.report import figures as draw
    from farm.report import report as write

    if out is None and figures is None:
        raise typer.BadParameter("name the page, OUT.html, or a folder with --figures")
    options = ReportOptions(source, subset, subject, pairs, study=study)
    with context.obj.open(read_only=True) as ledger:
        made = [write(ledger, out, options)] if out else []
        made += [draw(ledger, figures, options)] if figures else []
    said = [f"{len(each.paths)} files" if len(each.paths) > 1 else each.paths[0] for each in made]
    print_(
        as_json,
        lambda: made[0].to_json() if len(made) == 1 else [each.to_json() for each in made],
        lambda: "\n".join(f"{name}: {each.bytes:,} bytes" for name, each in zip(said, made, strict=True)),
    )
