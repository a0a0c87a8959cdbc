"""Commands that sample from models and train them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.commands.common import JsonFlag, print_

commands = typer.Typer()


@commands.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def train(
    context: typer.Context,
    method: Annotated[str, typer.Argument(help="A reference method: see docs/train.md.")] = "",
    model: Annotated[str, typer.Option(help="The model to start from: a directory or a hub id.")] = "",
    out: Annotated[Path | None, typer.Option(help="The folder of the run; again, it goes on there.")] = None,
    snapshot: Annotated[str | None, typer.Option(help="The judged pairs to learn from.")] = None,
    set_name: Annotated[str | None, typer.Option("--set", help="The instructions to learn from.")] = None,
    reference: Annotated[str | None, typer.Option(help="The reference model, if not --model.")] = None,
    reward: Annotated[str | None, typer.Option(help="The reward model, where the method wants one.")] = None,
    held_out: Annotated[float, typer.Option(help="Share of the instructions kept for evaluation.")] = 0.05,
    config: Annotated[
        Path | None, typer.Option(help="The method's options as YAML; flags go before it.")
    ] = None,
    help_: Annotated[bool, typer.Option("--help", "-h", help="Show the method's options.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Train a reference method; every option of the method is a flag too."""
    from farm.terminal.common import progress_of
    from farm.terminal.train import options_view, train_view
    from farm.train import TrainTask, method_options
    from farm.train import train as run

    if help_ or not method:
        typer.echo(context.get_help())
        if method:
            print_(False, lambda: None, lambda: options_view(method, method_options(method)))
        return
    if not model or out is None:
        raise typer.BadParameter("train needs --model and --out")
    flags = flags_of(context.args)
    task = TrainTask(model, out, snapshot, set_name, reference, reward, held_out)
    with context.obj.open() as ledger, progress_of("steps", not as_json) as progress:
        report = run(ledger, method, task, config, flags, progress)
    print_(as_json, report.to_json, lambda: train_view(report))


def flags_of(arguments: list[str]) -> dict[str, str]:
    """--name value and --name=value as a mapping; raises on anything else."""
    flags, left = {}, list(arguments)
    while left:
        name, equals, value = left.pop(0).partition("=")
        if not name.startswith("--") or not (equals or left):
            raise typer.BadParameter(f"{name} is neither an option with a value nor expected here")
        flags[name.removeprefix("--")] = value if equals else left.pop(0)
    return flags
