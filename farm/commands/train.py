"""`farm train`: its flags are those of TrainTask and of the method that is named."""

from __future__ import annotations

from pathlib import Path

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.options.train import TrainTask
from farm.settings.checked import Options
from farm.settings.fields import option


class Learning(Options):
    """The method, and where its own options stand."""

    method: str = option("", argument=True, names="method")
    """A reference method: see docs/train.md."""
    config: Path | None = None
    """The method's options as YAML; flags go before it."""
    dry_run: bool = False
    """Say what the run would take: memory, disk, tokens, and after a few steps on a copy, time."""
    show_help: bool = option(False, flag="--help -h")
    """Show the method's options."""


commands = app()


@commands.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
@flags
def train(context: typer.Context, learning: Learning, task: TrainTask | None, output: CommandOutput) -> None:
    """Train a reference method; every option of the method is a flag too."""
    if learning.show_help or not learning.method:
        typer.echo(context.get_help())
        if learning.method:
            _show_options(learning.method)
        return
    from farm.terminal.train import plan_view, train_view
    from farm.train import foresee
    from farm.train import train as run

    if task is None:
        raise typer.BadParameter("train needs --model and --out")
    given = flags_of(context.args)
    if task.rounds.count is not None:
        _in_rounds(context, learning, task, given, output=output)
        return
    if learning.dry_run:
        with context.obj.open(read_only=True) as ledger, output.progress("steps") as progress:
            plan = foresee(
                ledger, learning.method, task, yaml=learning.config, flags=given, progress=progress
            )
        output.show(plan.to_json, lambda: plan_view(plan))
        return
    with context.obj.open() as ledger, output.progress("steps") as progress:
        report = run(ledger, learning.method, task, yaml=learning.config, flags=given, progress=progress)
    output.show(report.to_json, lambda: train_view(report))


def _in_rounds(
    context: typer.Context,
    learning: Learning,
    task: TrainTask,
    given: dict[str, str],
    *,
    output: CommandOutput,
) -> None:
    from farm.rounds.run import foresee_rounds, train_in_rounds
    from farm.terminal.train import rounds_plan_view, rounds_view

    if learning.dry_run:
        with context.obj.open(read_only=True) as ledger:
            plan = foresee_rounds(ledger, learning.method, task, yaml=learning.config, flags=given)
        output.show(plan.to_json, lambda: rounds_plan_view(plan))
        return
    with context.obj.open() as ledger, output.progress("steps") as progress:
        report = train_in_rounds(
            ledger, learning.method, task, yaml=learning.config, flags=given, progress=progress
        )
    output.show(report.to_json, lambda: rounds_view(report))


def _show_options(method: str) -> None:
    from farm.methods import METHODS
    from farm.settings.written import written_options
    from farm.terminal.train import options_view

    if method not in METHODS:
        from farm.train import method_named

        method_named(method)  # which raises
    wanted = written_options(f"farm.methods.{method}")
    CommandOutput().show(lambda: None, lambda: options_view(method, wanted))


def flags_of(arguments: list[str]) -> dict[str, str]:
    """--name value and --name=value as a mapping; raises on anything else."""
    given, left = {}, list(arguments)
    while left:
        name, equals, value = left.pop(0).partition("=")
        if not name.startswith("--") or not (equals or left):
            raise typer.BadParameter(f"{name} is neither an option with a value nor expected here")
        given[name.removeprefix("--")] = value if equals else left.pop(0)
    return given
