"""`farm annotators [NAME]`, and what makes annotators of people's judgements: calibrate, align, imitate."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.core import TyperGroup

from farm.commands.common import CommandOutput, app, flags
from farm.judging.provider import Provider
from farm.options.align import AlignManner, AlignTask
from farm.options.calibrate import CalibrateTask
from farm.options.imitate import ImitateManner, ImitateTask
from farm.settings.checked import Options
from farm.settings.fields import Part, option

SHOW = "show"


class Catalogue(TyperGroup):
    """A group in which `farm annotators [NAME]` is short for `farm annotators show [NAME]`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """See click."""
        if not {*self.commands, "-h", "--help"} & set(args):
            args = [SHOW, *args]
        return super().parse_args(ctx, args)


UNASKED = ("batch", "poll_seconds", "local", "rows", "weights")
ASKED = Part(
    without=UNASKED,
    words={"base_url": "The OpenAI-compatible server of judge and proposer; else as `farm annotate`."},
)
IMITATING = Part(
    without=UNASKED, words={"base_url": "The OpenAI-compatible server of the judge; else as `farm annotate`."}
)


class Shown(Options):
    """What is shown."""

    name: str | None = option(None, argument=True, names="catalogue")
    """Show this one whole, with its prompt."""


commands = app(cls=Catalogue, help="List the catalogue, show one annotator, or make one judge as people do.")


@commands.command(SHOW)
@flags
def show(
    context: typer.Context,
    shown: Shown,
    provider: Annotated[Provider, Part(only=("models",))],
    output: CommandOutput,
) -> None:
    """List the catalogue, or show one annotator with its prompt on a real pair."""
    from dataclasses import asdict

    from db.errors import LedgerNotFound
    from farm.annotators import annotator, annotators
    from farm.terminal.annotators import annotator_view, annotators_view

    if shown.name is None:
        lines = annotators(provider.models)
        output.show(lambda: [asdict(line) for line in lines], lambda: annotators_view(lines))
        return
    try:
        with context.obj.open() as ledger:
            found = annotator(shown.name, ledger, provider.models)
    except LedgerNotFound:
        found = annotator(shown.name, None, provider.models)
    output.show(found.to_json, lambda: annotator_view(found))


@commands.command()
@flags
def calibrate(context: typer.Context, task: CalibrateTask, output: CommandOutput) -> None:
    """Fit a pool, panel, cascade or judge on a scale to people's votes, and check it on others."""
    from farm.calibrate import calibrate as run
    from farm.terminal.calibrate import calibration_view

    with context.obj.open() as ledger:
        found = run(ledger, task)
    output.show(found.to_json, lambda: calibration_view(found))


@commands.command()
@flags
def align(
    context: typer.Context,
    task: AlignTask,
    provider: Annotated[Provider, ASKED],
    manner: AlignManner,
    output: CommandOutput,
) -> None:
    """Search for rules with which a judge agrees more with people, and test the best on others."""
    from farm.calibrate import align as run
    from farm.calibrate import plan_alignment
    from farm.terminal.align import alignment_view, plan_json, plan_view

    if manner.dry_run:
        with context.obj.open(read_only=True) as ledger:
            plan = plan_alignment(ledger, task, provider)
        output.show(lambda: plan_json(plan), lambda: plan_view(plan))
        return
    with context.obj.open() as ledger, output.progress("judgements") as progress:
        found = run(ledger, task, provider, progress)
    output.show(found.to_json, lambda: alignment_view(found))


@commands.command()
@flags
def imitate(
    context: typer.Context,
    task: ImitateTask,
    provider: Annotated[Provider, IMITATING],
    manner: ImitateManner,
    output: CommandOutput,
) -> None:
    """Make a judge for each person, and see how far the person agrees with it on other pairs."""
    from farm.calibrate import imitate as run
    from farm.calibrate import plan_imitation
    from farm.terminal.align import plan_json, plan_view
    from farm.terminal.imitate import imitation_view

    if manner.dry_run:
        with context.obj.open(read_only=True) as ledger:
            plan = plan_imitation(ledger, task, provider)
        output.show(lambda: plan_json(plan), lambda: plan_view(plan))
        return
    with context.obj.open() as ledger, output.progress("judgements") as progress:
        found = run(ledger, task, provider, progress)
    output.show(found.to_json, lambda: imitation_view(found))
