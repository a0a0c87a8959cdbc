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
    output: CommandOutput,
) -> None:
    """Draw a model's outputs to a set of instructions. What is there already is not drawn again."""
    from farm.sample import sample as draw
    from farm.terminal.sample import sample_view

    server = provider if provider.base_url is not None else None
    with context.obj.open() as ledger, output.progress("outputs") as progress:
        report = draw(ledger, named.model, task, progress, provider=server)
    output.show(report.to_json, lambda: sample_view(report))
