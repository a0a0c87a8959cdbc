"""`farm evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from farm.commands.common import CommandOutput, app, flags, judges
from farm.judging.provider import Provider
from farm.options.evaluate import EvaluateTask, ModelServer

JUDGE = judges(
    "concurrency",
    "local",
    "rows",
    "weights",
    base_url="The judge's OpenAI-compatible server.",
    max_cost="US dollars for the judge, at most.",
)

commands = app()


@commands.command()
@flags
def evaluate(
    context: typer.Context,
    task: EvaluateTask,
    provider: Annotated[Provider, JUDGE],
    server: ModelServer,
    output: CommandOutput,
) -> None:
    """A model's win rate against a reference: samples, pairs and judges what is missing, then counts."""
    from farm.evaluate import evaluate as run
    from farm.terminal.evaluate import evaluation_view

    url = server.sample_base_url
    sampler = (
        Provider(base_url=url, concurrency=provider.concurrency, without=provider.without) if url else None
    )
    with context.obj.open() as ledger, output.progress("done") as progress:
        found = run(ledger, task, provider, progress, sampler=sampler)
    output.show(found.to_json, lambda: evaluation_view(found))
