"""`farm people`: a judge beside people."""

from __future__ import annotations

from typing import Annotated

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.options.people import (
    Beside,
    Bootstrap,
    Buyable,
    ComparedAnnotators,
    Estimating,
    Evaluators,
    Labelling,
    Planning,
    Replacing,
    Scope,
)
from farm.settings.fields import Part

commands = app(
    help="A judge beside people: may it replace them, what would they say, whom do both rank best.",
    no_args_is_help=True,
)
Imported = Annotated[Scope, Part(only=("source", "subset"))]
Ranked = Annotated[Scope, Part(only=("source", "subset", "against"))]


@commands.command()
@flags
def replace(
    context: typer.Context, who: ComparedAnnotators, scope: Imported, test: Replacing, output: CommandOutput
) -> None:
    """May this annotator replace people here? The alternative annotator test."""
    from farm.people import may_replace
    from farm.terminal.people import replacement_view

    with context.obj.open() as ledger:
        found = may_replace(ledger, who.annotators, scope, epsilons=test.epsilon, min_items=test.min_items)
    output.show(lambda: {"annotators": [each.to_json() for each in found]}, lambda: replacement_view(found))


@commands.command("win-rate")
@flags
def win_rate(
    context: typer.Context, who: Beside, scope: Scope, wanted: Estimating, output: CommandOutput
) -> None:
    """What people would say: their few labels and this annotator's many give one interval."""
    from farm.people import people_win_rate
    from farm.terminal.people import win_rate_view

    with context.obj.open() as ledger:
        found = people_win_rate(
            ledger, who.annotator, scope, half_width=wanted.half_width, chosen=wanted.chosen
        )
    output.show(found.to_json, lambda: win_rate_view(found))


@commands.command("next")
@flags
def next_(
    context: typer.Context, who: Beside, wanted: Labelling, scope: Scope, output: CommandOutput
) -> None:
    """Which pairs a person should label next, by the annotator's doubt: pair ids, in order."""
    from farm.people import next_pairs
    from farm.terminal.people import next_view

    with context.obj.open() as ledger:
        found = next_pairs(ledger, who.annotator, wanted.n, scope)
    output.show(lambda: {"pairs": found}, lambda: next_view(found))


@commands.command()
@flags
def plan(context: typer.Context, who: Buyable, wanted: Planning, scope: Scope, output: CommandOutput) -> None:
    """How many labels people must still give, by how many people, and which annotators to buy."""
    from farm.evaluation.people_plan import people_plan
    from farm.terminal.people_plan import plan_view

    with context.obj.open() as ledger:
        found = people_plan(ledger, wanted, who.annotators, scope)
    output.show(found.to_json, lambda: plan_view(found))


@commands.command()
@flags
def rank(
    context: typer.Context, who: Evaluators, scope: Ranked, bootstrap: Bootstrap, output: CommandOutput
) -> None:
    """Do two evaluators rank the models alike? Spearman, Kendall, and agreement where both judged."""
    from farm.evaluation.rankings import rank_agreement
    from farm.terminal.people import comparisons_view

    with context.obj.open() as ledger:
        found = rank_agreement(ledger, who.a, who.b, scope, draws=bootstrap.draws, seed=bootstrap.seed)
    output.show(found.to_json, lambda: comparisons_view([found]))


@commands.command()
@flags
def sensitivity(
    context: typer.Context,
    who: ComparedAnnotators,
    scope: Ranked,
    bootstrap: Bootstrap,
    output: CommandOutput,
) -> None:
    """How far rankings move with annotator and prompt, shown order, label noise and the draw."""
    from farm.evaluation.rankings import sensitivity as measure
    from farm.terminal.people import sensitivity_view

    with context.obj.open() as ledger:
        found = measure(ledger, who.annotators, scope, draws=bootstrap.draws, seed=bootstrap.seed)
    output.show(found.to_json, lambda: sensitivity_view(found))
