"""`farm sample`."""

from __future__ import annotations

from typing import Annotated

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.judging.provider import Provider
from farm.options.sample import SampleTask
from farm.settings.checked import Options
from farm.settings.fields import Part, option


class AnsweringModel(Options):
    """The model that answers."""

    model: str = option(argument=True)
    """A directory, a hub id, or with --base-url a server's model."""


class DrawManner(Options):
    """Whether the draw is only planned."""

    dry_run: bool = False
    """Say what a draw in this process would take: memory, tokens, and after a few tokens, time."""


SERVER = Part(
    without=("models", "batch", "poll_seconds", "local", "rows", "weights"),
    words={"base_url": "Ask this OpenAI-compatible server."},
    unshared=("base_url",),
)

commands = app()


@commands.command()
@flags
def sample(
    context: typer.Context,
    named: AnsweringModel,
    task: SampleTask,
    provider: Annotated[Provider, SERVER],
    manner: DrawManner,
    output: CommandOutput,
) -> None:
    """Draw a model's outputs to a set of instructions. What is there already is not drawn again."""
    from farm.sample import foresee
    from farm.sample import sample as draw
    from farm.terminal.sample import draw_plan_view, sample_view

    server = provider if provider.base_url is not None else None
    if manner.dry_run:
        if server is not None:
            raise typer.BadParameter("--dry-run is for a model that runs here, without --base-url")
        with context.obj.open(read_only=True) as ledger, output.progress("outputs") as progress:
            plan = foresee(ledger, named.model, task, progress)
        output.show(plan.to_json, lambda: draw_plan_view(plan))
        return
    with context.obj.open() as ledger, output.progress("outputs") as progress:
        report = draw(ledger, named.model, task, progress, provider=server)
    output.show(report.to_json, lambda: sample_view(report))
