"""Commands about the catalogue of annotators: `farm annotators [NAME]`, `farm annotators calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from farm.commands.common import JsonFlag, Source, Subset, print_
from farm.commands.judging import Models

SHOW = "show"


class Catalogue(TyperGroup):
    """A group in which `farm annotators [NAME]` is short for `farm annotators show [NAME]`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """See click."""
        if not {*self.commands, "-h", "--help"} & set(args):
            args = [SHOW, *args]
        return super().parse_args(ctx, args)


group = typer.Typer(
    cls=Catalogue, help="List the catalogue, show one annotator, or make a pool judge as people do."
)
commands = typer.Typer()
commands.add_typer(group, name="annotators")


@group.command(SHOW)
def show(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Show this one whole, with its prompt.")] = None,
    model: Models = None,
    as_json: JsonFlag = False,
) -> None:
    """List the catalogue, or show one annotator with its prompt on a real pair."""
    from dataclasses import asdict

    from db.errors import LedgerNotFound
    from farm.annotators import annotator, annotators
    from farm.terminal.annotators import annotator_view, annotators_view

    if name is None:
        lines = annotators(tuple(model or ()))
        print_(as_json, lambda: [asdict(line) for line in lines], lambda: annotators_view(lines))
        return
    try:
        with context.obj.open() as ledger:
            shown = annotator(name, ledger, tuple(model or ()))
    except LedgerNotFound:
        shown = annotator(name, None, tuple(model or ()))
    print_(as_json, shown.to_json, lambda: annotator_view(shown))


@group.command()
def calibrate(
    context: typer.Context,
    pool: Annotated[str, typer.Argument(help="A pool, by its name in the catalogue or by its path.")],
    out: Annotated[Path, typer.Option(help="The pool file to write; its name is the new pool's.")],
    source: Source = None,
    subset: Subset = None,
    reference: Annotated[str, typer.Option(help="human, or the name of the annotator to follow.")] = "human",
    held_out: Annotated[float, typer.Option(help="Share of the instructions to check on.")] = 0.5,
    model: Models = None,
    local: Annotated[bool, typer.Option("--local", help="As `farm annotate --local`.")] = False,
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the split and of the bootstrap.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Fit a pool's weights and label noise to people's votes, and check them on other instructions."""
    from farm.calibrate import CalibrateTask
    from farm.calibrate import calibrate as run
    from farm.terminal.calibrate import calibration_view

    task = CalibrateTask(
        pool, out, source, subset, reference, held_out, draws, seed, tuple(model or ()), local
    )
    with context.obj.open() as ledger:
        found = run(ledger, task)
    print_(as_json, found.to_json, lambda: calibration_view(found))
