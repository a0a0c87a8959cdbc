"""Commands that draw outputs and pair them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.commands.common import JsonFlag, print_

commands = typer.Typer()


@commands.command()
def sample(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A directory, a hub id, or with --base-url a server's model.")],
    set_name: Annotated[str, typer.Option("--set", help="The instructions to answer.")],
    producer: Annotated[str, typer.Option(help="Whose outputs these are; else the model's name.")] = "",
    n: Annotated[int, typer.Option("--n", min=1, help="Outputs to each instruction.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many instructions.")] = None,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the likeliest token every time.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Draw among tokens that together reach this share.")] = 1.0,
    top_k: Annotated[int, typer.Option(min=0, help="Draw among so many tokens; 0: all.")] = 0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens at most in an output.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every draw.")] = 0,
    best_of: Annotated[int | None, typer.Option(min=1, help="The best of so many, by --reward.")] = None,
    reward: Annotated[str | None, typer.Option(help="The reward model that chooses it.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Ask this OpenAI-compatible server.")] = None,
    max_words: Annotated[int | None, typer.Option(min=1, help="Ask a served model to be brief.")] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Ask a served model in token ids, as this checkpoint makes them.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight.")] = 100,
    rpm: Annotated[float | None, typer.Option(help="Requests per minute, at most.")] = None,
    tpm: Annotated[float | None, typer.Option(help="Tokens per minute, at most.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="US dollars, at most.")] = None,
    max_requests: Annotated[int | None, typer.Option(min=1, help="Requests, at most.")] = None,
    prices: Annotated[Path | None, typer.Option(help="A price table of your own (YAML).")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Draw a model's outputs to a set of instructions. What is there already is not drawn again."""
    from farm.config import Decoding, build
    from farm.judging.provider import Provider
    from farm.sample import SampleTask
    from farm.sample import sample as draw
    from farm.terminal.common import progress_of
    from farm.terminal.sample import sample_view

    options = {"temperature": temperature, "top_p": top_p, "top_k": top_k, "max_new_tokens": max_new_tokens}
    decoding = build(Decoding, options, where=["flags"])
    task = SampleTask(set_name, producer, n, limit, decoding, seed, best_of, reward, max_words, tokenizer)
    provider = None
    if base_url is not None:
        provider = Provider((), base_url, concurrency, rpm, tpm, max_cost, max_requests, prices)
    with context.obj.open() as ledger, progress_of("outputs", not as_json) as progress:
        report = draw(ledger, model, task, progress, provider)
    print_(as_json, report.to_json, lambda: sample_view(report))


@commands.command()
def pair(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The source that the pairs stand under.")],
    of: Annotated[list[str], typer.Option("--of", help="A producer whose outputs meet; repeat it.")],
    against: Annotated[str | None, typer.Option(help="Each output meets one of this producer's.")] = None,
    set_name: Annotated[str | None, typer.Option("--set", help="Only instructions of this set.")] = None,
    how: Annotated[str, typer.Option(help="derangement, AlpacaFarm's way, or all.")] = "derangement",
    per_instruction: Annotated[int, typer.Option(min=1, help="Pairs of a derangement.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the derangement.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Make pairs of outputs in the ledger; of a producer's, those of its latest decoding."""
    from db.queries.outputs import latest
    from farm.pair import PairTask
    from farm.pair import pair as make
    from farm.terminal.pair import pair_view

    with context.obj.open() as ledger:
        rival = latest(ledger, against) if against is not None else None
        sources = tuple(latest(ledger, each) for each in of)
        report = make(ledger, PairTask(name, sources, set_name, rival, how, per_instruction, seed))
    print_(as_json, report.to_json, lambda: pair_view(report))
