"""Commands that put a judge beside people: `farm people`."""

from __future__ import annotations

from typing import Annotated

import typer

from farm.commands.common import JsonFlag, Source, Subset, print_

commands = typer.Typer(
    help="A judge beside people: may it replace them, what would they say, whom do both rank best.",
    no_args_is_help=True,
)
Judge = Annotated[str, typer.Argument(metavar="ANNOTATOR", help="The annotator that stands beside people.")]
Model = Annotated[str | None, typer.Option(help="Of this producer; else of each question's first output.")]
Against = Annotated[str | None, typer.Option(help="Only pairs with this producer.")]
Draws = Annotated[int, typer.Option(min=0, help="Bootstrap draws for the intervals.")]
Seed = Annotated[int, typer.Option(help="Seed of the bootstrap.")]


@commands.command()
def replace(
    context: typer.Context,
    annotator: Annotated[list[str] | None, typer.Argument(help="These; else everybody but people.")] = None,
    source: Source = None,
    subset: Subset = None,
    epsilon: Annotated[
        list[float] | None, typer.Option(help="What not asking a person is worth; else .1, .15 and .2.")
    ] = None,
    min_items: Annotated[int, typer.Option(min=2, help="Items that a person needs to be tested.")] = 30,
    as_json: JsonFlag = False,
) -> None:
    """May this annotator replace people here? The alternative annotator test."""
    from farm.evaluation.scope import Scope
    from farm.people import EPSILONS, may_replace
    from farm.terminal.people import replacement_view

    with context.obj.open() as ledger:
        found = may_replace(
            ledger, annotator or (), Scope(source, subset), tuple(epsilon or EPSILONS), min_items
        )
    print_(
        as_json, lambda: {"annotators": [each.to_json() for each in found]}, lambda: replacement_view(found)
    )


@commands.command("win-rate")
def win_rate(
    context: typer.Context,
    annotator: Judge,
    source: Source = None,
    subset: Subset = None,
    model: Model = None,
    against: Against = None,
    half_width: Annotated[
        float | None, typer.Option(help="Plan the labels for an interval of +- this share.")
    ] = None,
    chosen: Annotated[
        str, typer.Option(help="How labelled pairs were picked: random, or doubt (`farm people next`).")
    ] = "random",
    as_json: JsonFlag = False,
) -> None:
    """What people would say: their few labels and this annotator's many give one interval."""
    from farm.evaluation.scope import Scope
    from farm.people import people_win_rate
    from farm.terminal.people import win_rate_view

    with context.obj.open() as ledger:
        scope = Scope(source, subset, model, against)
        found = people_win_rate(ledger, annotator, scope, half_width, chosen)
    print_(as_json, found.to_json, lambda: win_rate_view(found))


@commands.command("next")
def next_(
    context: typer.Context,
    annotator: Judge,
    n: Annotated[int, typer.Option("--n", min=1, help="So many pairs.")] = 20,
    source: Source = None,
    subset: Subset = None,
    model: Model = None,
    against: Against = None,
    as_json: JsonFlag = False,
) -> None:
    """Which pairs a person should label next, by the annotator's doubt: pair ids, in order."""
    from farm.evaluation.scope import Scope
    from farm.people import next_pairs
    from farm.terminal.people import next_view

    with context.obj.open() as ledger:
        found = next_pairs(ledger, annotator, n, Scope(source, subset, model, against))
    print_(as_json, lambda: {"pairs": found}, lambda: next_view(found))


@commands.command()
def rank(
    context: typer.Context,
    a: Annotated[str, typer.Option("--a", help="An annotator, or human, or gold.")],
    b: Annotated[str, typer.Option("--b", help="Another one.")],
    source: Source = None,
    subset: Subset = None,
    against: Against = None,
    draws: Draws = 1000,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Do two evaluators rank the models alike? Spearman, Kendall, and agreement where both judged."""
    from farm.evaluation.rankings import rank_agreement
    from farm.evaluation.scope import Scope
    from farm.terminal.people import comparisons_view

    with context.obj.open() as ledger:
        scope = Scope(source, subset, against=against)
        found = rank_agreement(ledger, a, b, scope, draws=draws, seed=seed)
    print_(as_json, found.to_json, lambda: comparisons_view([found]))


@commands.command()
def sensitivity(
    context: typer.Context,
    annotator: Annotated[list[str] | None, typer.Argument(help="These; else people and everybody.")] = None,
    source: Source = None,
    subset: Subset = None,
    against: Against = None,
    draws: Draws = 1000,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """How far rankings move with annotator and prompt, shown order, label noise and the draw."""
    from farm.evaluation.rankings import sensitivity as measure
    from farm.evaluation.scope import Scope
    from farm.terminal.people import sensitivity_view

    with context.obj.open() as ledger:
        scope = Scope(source, subset, against=against)
        found = measure(ledger, annotator or (), scope, draws=draws, seed=seed)
    print_(as_json, found.to_json, lambda: sensitivity_view(found))
