"""`farm annotate`."""

from __future__ import annotations

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.judging.provider import Provider, Task
from farm.options.annotate import AnnotatorChoice, Manner

commands = app()


@commands.command()
@flags
def annotate(
    context: typer.Context,
    judge: AnnotatorChoice,
    task: Task,
    provider: Provider,
    manner: Manner,
    output: CommandOutput,
) -> None:
    """Let an annotator judge the ledger's pairs. What it has judged already it does not judge again."""
    from farm.annotate import annotate as run
    from farm.annotate import annotate_members, plan, plan_members
    from farm.terminal.annotate import annotate_view, estimate_json, estimate_view, members_view

    name = judge.annotator
    if manner.dry_run:
        with context.obj.open(read_only=True) as ledger:
            estimate = (plan_members if manner.members else plan)(ledger, name, task, provider)
        output.show(lambda: estimate_json(estimate), lambda: estimate_view(estimate))
        return
    with context.obj.open() as ledger, output.progress("judgements") as progress:
        if manner.members:
            each = annotate_members(ledger, name, task, progress, provider=provider)
            output.show(lambda: {"members": [one.to_json() for one in each]}, lambda: members_view(each))
            return
        report = run(ledger, name, task, progress, provider=provider)
    output.show(report.to_json, lambda: annotate_view(report))
