"""Commands that judge pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.commands.common import JsonFlag, Source, Subset, print_

commands = typer.Typer()

Models = Annotated[
    list[str] | None, typer.Option(help="The model to ask, or SLOT=MODEL; repeat it for several slots.")
]
Orders = Annotated[str | None, typer.Option(help="Which output is shown first: random, both or stored.")]
Local = Annotated[
    bool, typer.Option("--local", help="Run --model DIR (a causal language model) in this process.")
]


@commands.command()
def annotate(
    context: typer.Context,
    annotator: Annotated[str, typer.Argument(help="A name of the catalogue: see `farm annotators`.")],
    source: Source = None,
    subset: Subset = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many pairs.")] = None,
    replicates: Annotated[int, typer.Option(min=1, help="Independent judgements of each pair.")] = 1,
    orders: Orders = None,
    seed: Annotated[int | None, typer.Option(help="The seed of every keyed draw.")] = None,
    utility: Annotated[
        str, typer.Option(help="For the oracle: a Python callable, package.module:function.")
    ] = "",
    model: Models = None,
    base_url: Annotated[str | None, typer.Option(help="An OpenAI-compatible server.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight.")] = 100,
    rpm: Annotated[float | None, typer.Option(help="Requests per minute, at most.")] = None,
    tpm: Annotated[float | None, typer.Option(help="Tokens per minute, at most.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="US dollars, at most.")] = None,
    max_requests: Annotated[int | None, typer.Option(min=1, help="Requests, at most.")] = None,
    prices: Annotated[Path | None, typer.Option(help="A price table of your own (YAML).")] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="Ask through the provider's Batch API: slower, half the price.")
    ] = False,
    poll_seconds: Annotated[float, typer.Option(min=0.01, help="Between two looks at a batch.")] = 30.0,
    local: Local = False,
    rows: Annotated[int, typer.Option(min=1, help="Of a model in this process: rows in one pass.")] = 8,
    members: Annotated[
        bool, typer.Option("--members", help="Let each member of the pool judge all pairs, by itself.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would ask and cost.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Let an annotator judge the ledger's pairs. What it has judged already it does not judge again."""
    from db.ledger import PairFilter
    from farm.annotate import annotate as run
    from farm.annotate import annotate_members, plan, plan_members
    from farm.judging.provider import Provider, Task, orders_named
    from farm.terminal.annotate import annotate_view, estimate_json, estimate_view, members_view
    from farm.terminal.common import progress_of

    task = Task(PairFilter(source, subset, limit), replicates, orders_named(orders), seed, utility)
    provider = Provider(
        tuple(model or ()), base_url, concurrency, rpm, tpm, max_cost, max_requests, prices, batch,
        poll_seconds, local, rows,
    )  # fmt: skip
    if dry_run:
        with context.obj.open() as ledger:
            estimate = (plan_members if members else plan)(ledger, annotator, task, provider)
        print_(as_json, lambda: estimate_json(estimate), lambda: estimate_view(estimate))
        return
    with context.obj.open() as ledger, progress_of("judgements", not as_json) as progress:
        if members:
            each = annotate_members(ledger, annotator, task, progress, provider)
            print_(as_json, lambda: {"members": [one.to_json() for one in each]}, lambda: members_view(each))
            return
        report = run(ledger, annotator, task, progress, provider)
    print_(as_json, report.to_json, lambda: annotate_view(report))


@commands.command("serve-simulator")
def serve_simulator(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8080,
    config: Annotated[Path | None, typer.Option(help="Judges, faults and latency (YAML).")] = None,
) -> None:
    """Play an OpenAI-compatible provider of judges on this machine, until interrupted."""
    from farm.serve_simulator import serve_simulator as serve

    serve(host, port, config, lambda url: typer.echo(f"serving {url}"))
