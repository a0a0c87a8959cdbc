"""`farm robustness`."""

from __future__ import annotations

from typing import Annotated

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.judging.provider import Provider
from farm.options.robustness import RobustnessTask
from farm.settings.fields import Part

JUDGES = Part(only=("models", "base_url", "concurrency", "max_cost", "local", "rows", "weights"))

commands = app()


@commands.command()
@flags
def robustness(
    context: typer.Context, task: RobustnessTask, provider: Annotated[Provider, JUDGES], output: CommandOutput
) -> None:
    """Do null models, fake verdicts and padding lose under every annotator?"""
    from farm.robustness import robustness as measure
    from farm.terminal.robustness import robustness_view

    with context.obj.open() as ledger, output.progress("judgements") as progress:
        report = measure(ledger, task, progress, provider)
    output.show(report.to_json, lambda: robustness_view(report))
