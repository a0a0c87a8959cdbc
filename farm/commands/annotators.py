"""`farm annotators [NAME]`, and what makes annotators of people's judgements: calibrate, align, imitate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from typer.core import TyperGroup

from farm.commands.common import CommandOutput, app, flags
from farm.judging.provider import Provider
from farm.options.align import AlignManner, AlignTask
from farm.options.calibrate import CalibrateTask
from farm.options.imitate import ImitateManner, ImitateTask
from farm.settings.checked import Options
from farm.settings.fields import Part, option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from annotators.clients.budget import Estimate
    from db.ledger import Ledger
    from farm.aligning.imitate import Imitation
    from farm.aligning.report import Alignment
    from farm.progress import Progress

Made = TypeVar("Made", bound="Alignment | Imitation")
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
    from farm.terminal.align import alignment_view

    _planned_or_done(
        context,
        output,
        dry_run=manner.dry_run,
        plan=lambda ledger: plan_alignment(ledger, task, provider),
        do=lambda ledger, progress: run(ledger, task, provider, progress),
        view=alignment_view,
    )


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
    from farm.terminal.imitate import imitation_view

    _planned_or_done(
        context,
        output,
        dry_run=manner.dry_run,
        plan=lambda ledger: plan_imitation(ledger, task, provider),
        do=lambda ledger, progress: run(ledger, task, provider, progress),
        view=imitation_view,
    )


def _planned_or_done(
    context: typer.Context,
    output: CommandOutput,
    *,
    dry_run: bool,
    plan: Callable[[Ledger], Mapping[str, Estimate]],
    do: Callable[[Ledger, Progress], Made],
    view: Callable[[Made], RenderableType],
) -> None:
    """Show what would be asked, or ask and show what came of it."""
    from farm.terminal.align import plan_json, plan_view

    if dry_run:
        with context.obj.open(read_only=True) as ledger:
            planned = plan(ledger)
        output.show(lambda: plan_json(planned), lambda: plan_view(planned))
        return
    with context.obj.open() as ledger, output.progress("judgements") as progress:
        found = do(ledger, progress)
    output.show(found.to_json, lambda: view(found))
