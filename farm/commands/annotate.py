"""`farm annotate`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.judging.provider import Provider, Task
from farm.options.annotate import AnnotatorChoice, Manner

if TYPE_CHECKING:
    from db.ledger import Ledger
    from farm.evaluation.audit_report import AuditReport

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

    name, task = judge.annotator, on_benchmark(task, manner)
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
        found = score(ledger, report.annotator, task, manner)
    scored = {"benchmark": found.benchmark.to_json()} if found and found.benchmark else {}
    output.show(lambda: {**report.to_json(), **scored}, lambda: annotate_view(report, found))


def on_benchmark(task: Task, manner: Manner) -> Task:
    """The task on the pairs of the benchmark, where one is named and no source."""
    if manner.benchmark is None or task.pairs.source is not None:
        return task
    from farm.evaluation.benchmarks import BENCHMARKS

    return replace(task, pairs=replace(task.pairs, source=BENCHMARKS[manner.benchmark].source))


def score(ledger: Ledger, annotator: str, task: Task, manner: Manner) -> AuditReport | None:
    """The audit of the annotator with the benchmark's own number, where a benchmark is named."""
    if manner.benchmark is None:
        return None
    from farm.audit import AuditOptions, audit_ledger

    source = task.pairs.source
    return audit_ledger(
        ledger, AuditOptions(source=source, annotators=(annotator,), benchmark=manner.benchmark)
    )
