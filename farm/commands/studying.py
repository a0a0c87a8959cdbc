"""Commands that run whole studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.commands.common import JsonFlag, print_

commands = typer.Typer()


@commands.command()
def quickstart(
    out: Annotated[
        Path, typer.Option(help="The folder of everything; again, the study goes on there.")
    ] = Path("quickstart"),
    scale: Annotated[str, typer.Option(help="small: minutes; paper: AlpacaFarm's sizes, an hour.")] = "small",
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another world.")] = 0,
    processes: Annotated[int | None, typer.Option(min=1, help="Side by side; else one a core.")] = None,
    simulators: Annotated[
        str, typer.Option(help="The annotator whose labels are learnt from: a name or a file.")
    ] = "crowd-quiet",
    as_json: JsonFlag = False,
) -> None:
    """AlpacaFarm's whole study in the embedded world: no key, no download, no GPU. Again, it goes on."""
    from farm.quickstart import QuickstartTask
    from farm.quickstart import quickstart as run
    from farm.terminal.quickstart import quickstart_view

    task = QuickstartTask(out, scale, seed, processes, simulators)
    done = run(task, lambda line: typer.echo(line, err=as_json))
    print_(as_json, done.results.to_json, lambda: quickstart_view(done))


@commands.command()
def validate(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="The supervised model whose outputs were judged.")],
    pairs: Annotated[str, typer.Option(help="The source of the judged pairs.")],
    unlabelled: Annotated[str, typer.Option(help="The set of instructions that methods draw on.")],
    evaluation: Annotated[str, typer.Option(help="The set of instructions of the evaluation.")],
    out: Annotated[Path, typer.Option(help="The folder of the runs and of study.json.")],
    simulators: Annotated[list[str], typer.Option(help="Whose labels are learnt from; repeat it.")],
    evaluators: Annotated[
        list[str] | None, typer.Option(help="Who judges in the simulated world; else the simulators.")
    ] = None,
    people: Annotated[list[str] | None, typer.Option(help="Which people; else all of them.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="Methods and their options (YAML).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of training and sampling.")] = 0,
    world: Annotated[int | None, typer.Option(help="Ask the people of the world of this seed.")] = None,
    models: Annotated[
        list[str] | None, typer.Option("--judge-model", help="As `farm annotate --model`.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="An OpenAI-compatible server of judges.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="US dollars for judges, at most.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Side by side; else one a core.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train every method on people's and on simulators' feedback: do both rank the methods alike?"""
    from farm.judging.provider import Provider
    from farm.terminal.validate import validation_view
    from farm.validate import ValidateTask
    from farm.validate import validate as run

    named = (tuple(people or ()), tuple(simulators), tuple(evaluators or ()))
    task = ValidateTask(
        model, pairs, unlabelled, evaluation, out, *named, recipe, seed, world, processes=processes
    )
    provider = Provider(tuple(models or ()), base_url, max_cost=max_cost)
    with context.obj.open() as ledger:
        done = run(ledger, task, provider, lambda line: typer.echo(line, err=as_json))
    print_(as_json, done.results.to_json, lambda: validation_view(done))
