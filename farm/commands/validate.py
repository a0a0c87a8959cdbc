"""`farm validate`."""

from __future__ import annotations

from typing import Annotated

import typer

from farm.commands.common import CommandOutput, app, flags, judges
from farm.judging.provider import Provider
from farm.options.validate import ValidateTask

JUDGES = judges(base_url="An OpenAI-compatible server of judges.", max_cost="US dollars for judges, at most.")

commands = app()


@commands.command()
@flags
def validate(
    context: typer.Context, task: ValidateTask, provider: Annotated[Provider, JUDGES], output: CommandOutput
) -> None:
    """Train every method on people's and on simulators' feedback: do both rank the methods alike?"""
    from farm.terminal.validate import validation_view
    from farm.validate import validate as run

    with context.obj.open() as ledger:
        done = run(ledger, task, provider, output.say)
    output.show(done.results.to_json, lambda: validation_view(done))
