"""Commands that measure annotators."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farm.commands import people
from farm.commands.common import AverageOrders, JsonFlag, Source, Subset, print_

if TYPE_CHECKING:
    from farm.judging.provider import Provider
    from farm.robustness import RobustnessTask

commands = typer.Typer()
commands.add_typer(people.commands, name="people")
Nulls = Annotated[str, typer.Option(help="An unreadable verdict counts as wrong, or is dropped: drop.")]
Labels = Annotated[
    bool, typer.Option("--labels", help="The labels, after label noise, in place of the judgements.")
]


@commands.command()
def audit(
    context: typer.Context,
    source: Source = None,
    subset: Subset = None,
    annotator: Annotated[list[str] | None, typer.Option(help="Only these annotators; repeat it.")] = None,
    reference: Annotated[str | None, typer.Option(help="human, gold, or the name of an annotator.")] = None,
    by: Annotated[list[str] | None, typer.Option(help="Slice by source, subset or tries; repeat it.")] = None,
    nulls: Nulls = "wrong",
    labels: Labels = False,
    average_orders: AverageOrders = False,
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    csv: Annotated[Path | None, typer.Option(help="Also write the rows to this CSV file.")] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Do null models, fake verdicts and padding lose?")
    ] = False,
    against: Annotated[str | None, typer.Option(help="Robustness: the honest producer.")] = None,
    attack: Annotated[list[str] | None, typer.Option(help="Robustness: only these; repeat it.")] = None,
    suspect: Annotated[
        list[str] | None, typer.Option(help="Robustness: a producer that should lose; repeat it.")
    ] = None,
    set_name: Annotated[
        str | None, typer.Option("--set", help="Robustness: instructions of this set.")
    ] = None,
    instructions: Annotated[int, typer.Option(min=1, help="Robustness: at most so many.")] = 100,
    largest: Annotated[float, typer.Option(help="Robustness: the win rate that a null may have.")] = 0.1,
    orders: Annotated[str | None, typer.Option(help="Robustness: random, both or stored.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Robustness: MODEL or SLOT=MODEL to ask.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Robustness: an OpenAI-compatible server.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Robustness: requests in flight.")] = 100,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Robustness: US dollars.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """How far annotators agree with people, with a gold standard and with each other."""
    if robustness:
        from farm.judging.provider import Provider, Task, orders_named
        from farm.robustness import RobustnessTask

        who, attacks, suspects = tuple(annotator or ()), tuple(attack or ()), tuple(suspect or ())
        task = Task(orders=orders_named(orders))
        _robustness(
            context,
            RobustnessTask(who, against, attacks, suspects, set_name, instructions, largest, task),
            Provider(tuple(model or ()), base_url, concurrency, max_cost=max_cost),
            as_json,
        )
        return
    from farm.audit import AuditOptions, audit_ledger
    from farm.terminal.audit import audit_view, write_csv

    options = AuditOptions(
        source, subset, tuple(annotator or ()), reference, nulls, draws, seed, tuple(by or ()), labels,
        average_orders,
    )  # fmt: skip
    with context.obj.open() as ledger:
        report = audit_ledger(ledger, options)
    if csv:
        write_csv(report, csv)
    print_(as_json, report.to_json, lambda: audit_view(report))


def _robustness(context: typer.Context, task: RobustnessTask, provider: Provider, as_json: bool) -> None:
    from farm.robustness import robustness
    from farm.terminal.common import progress_of
    from farm.terminal.robustness import robustness_view

    with context.obj.open() as ledger, progress_of("judgements", not as_json) as progress:
        report = robustness(ledger, task, progress, provider)
    print_(as_json, report.to_json, lambda: robustness_view(report))


@commands.command("over-optimisation")
def over_optimisation(
    path: Annotated[Path, typer.Argument(metavar="CSV", help="curve, level, instruction, gold and kl.")],
    share: Annotated[bool, typer.Option("--share", help="Gold is a preference: a win rate.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Gold utility or win rate against sqrt(KL) for several reward models, and which of them has turned."""
    from farm.over_optimisation import curves, read_curves
    from farm.terminal.over_optimisation import curves_view

    found = curves(read_curves(path), share=share)
    print_(as_json, lambda: {"curves": [each.to_json() for each in found]}, lambda: curves_view(found))
