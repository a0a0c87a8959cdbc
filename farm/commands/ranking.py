"""Commands that rank models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.commands.common import AverageOrders, JsonFlag, Source, Subset, print_

commands = typer.Typer()


@commands.command()
def evaluate(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A producer of the ledger, a directory or a hub id.")],
    against: Annotated[str, typer.Option(help="The reference: likewise.")],
    annotator: Annotated[str, typer.Option(help="Who judges: a name of the catalogue.")],
    set_name: Annotated[str, typer.Option("--set", help="The evaluation set.")],
    producer: Annotated[str, typer.Option(help="What to call the model; else its own name.")] = "",
    n: Annotated[int, typer.Option("--n", min=1, help="Outputs to each instruction.")] = 1,
    temperature: Annotated[float, typer.Option(min=0, help="Of sampling.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Of sampling.")] = 1.0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens at most in an output.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Seed of sampling and bootstrap.")] = 0,
    replicates: Annotated[int, typer.Option(min=1, help="Independent judgements of each pair.")] = 1,
    orders: Annotated[str | None, typer.Option(help="random, both or stored.")] = None,
    average_orders: AverageOrders = False,
    control: Annotated[
        list[str] | None, typer.Option(help="length, list_share, markdown, language, or none.")
    ] = None,
    difficulty: Annotated[Path | None, typer.Option(help="Instruction difficulties (CSV).")] = None,
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws for the intervals.")] = 1000,
    judge_model: Annotated[
        list[str] | None, typer.Option("--judge-model", help="As `farm annotate --model`.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="The judge's OpenAI-compatible server.")] = None,
    sample_base_url: Annotated[str | None, typer.Option(help="The server that runs the model.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight.")] = 100,
    max_cost: Annotated[float | None, typer.Option(min=0, help="US dollars for the judge, at most.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """A model's win rate against a reference: samples, pairs and judges what is missing, then counts."""
    from farm.config import Decoding, build
    from farm.evaluate import EvaluateTask
    from farm.evaluate import evaluate as run
    from farm.judging.provider import Provider, Task, orders_named
    from farm.leaderboard import LENGTH, LeaderboardOptions
    from farm.sample import SampleTask
    from farm.terminal.common import progress_of
    from farm.terminal.evaluate import evaluation_view

    options = {"temperature": temperature, "top_p": top_p, "max_new_tokens": max_new_tokens}
    decoding = build(Decoding, options, where=["flags"])
    controls = LENGTH if not control else tuple(name for name in control if name != "none")
    task = EvaluateTask(
        model,
        against,
        annotator,
        SampleTask(set_name, producer, n, decoding=decoding, seed=seed),
        Task(replicates=replicates, orders=orders_named(orders)),
        LeaderboardOptions(
            annotator, difficulty=difficulty, controls=controls, draws=draws, seed=seed,
            average_orders=average_orders,
        ),
    )  # fmt: skip
    provider = Provider(tuple(judge_model or ()), base_url, concurrency, max_cost=max_cost)
    sampler = Provider((), sample_base_url, concurrency) if sample_base_url else None
    with context.obj.open() as ledger, progress_of("done", not as_json) as progress:
        found = run(ledger, task, provider, progress, sampler)
    print_(as_json, found.to_json, lambda: evaluation_view(found))


@commands.command()
def leaderboard(
    context: typer.Context,
    annotator: Annotated[str | None, typer.Option(help="Whose judgements rank the models.")] = None,
    reference: Annotated[str | None, typer.Option(help="The model that all others meet.")] = None,
    source: Source = None,
    subset: Subset = None,
    set_name: Annotated[str | None, typer.Option("--set", help="The evaluation set.")] = None,
    bradley_terry: Annotated[
        bool, typer.Option("--bradley-terry", help="Rank all models in any pairs, by strength.")
    ] = False,
    average_orders: AverageOrders = False,
    control: Annotated[
        list[str] | None, typer.Option(help="length, list_share, markdown, language, or none.")
    ] = None,
    difficulty: Annotated[Path | None, typer.Option(help="Instruction difficulties (CSV).")] = None,
    anchors: Annotated[Path | None, typer.Option(help="AlpacaEval's regularising rows (CSV).")] = None,
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    published: Annotated[Path | None, typer.Option(help="Scores that others published (CSV).")] = None,
    against: Annotated[str | None, typer.Option(help="The published column to compare with.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Win rates against one reference, length-controlled too; or Bradley-Terry strengths."""
    from farm.evaluation.published import compare_published
    from farm.evaluation.published import published as read
    from farm.leaderboard import LENGTH, LeaderboardOptions, strengths
    from farm.leaderboard import leaderboard as rank
    from farm.terminal.leaderboard import compared_view, leaderboard_view, strengths_view

    if annotator is None and published is None:
        raise typer.BadParameter("name an --annotator, or a table with --published")
    if (published is None) != (against is None):
        raise typer.BadParameter("--published and --against go together")
    if bradley_terry and (annotator is None or published is not None):
        raise typer.BadParameter("--bradley-terry ranks by an --annotator, and without --published")
    if bradley_terry and (reference or control or difficulty or anchors):
        raise typer.BadParameter("--bradley-terry takes no --reference and controls for nothing")
    controls = LENGTH if not control else tuple(name for name in control if name != "none")
    board = None
    if annotator is not None:
        options = LeaderboardOptions(
            annotator, reference, source, subset, set_name, difficulty, anchors, controls, draws, seed,
            average_orders=average_orders,
        )  # fmt: skip
        with context.obj.open() as ledger:
            if bradley_terry:
                found = strengths(ledger, options)
                print_(as_json, found.to_json, lambda: strengths_view(found))
                return
            board = rank(ledger, options)
    if published is not None and against is not None:
        compared = compare_published(read(published), against, board, draws=draws, seed=seed)
        print_(as_json, compared.to_json, lambda: compared_view(compared))
    elif board is not None:
        print_(as_json, board.to_json, lambda: leaderboard_view(board))
