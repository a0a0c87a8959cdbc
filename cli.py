"""The command line: parses, calls one function of farm, prints. Heavy imports wait until they are needed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from db.ids import Json
    from db.ledger import Ledger

app = typer.Typer(
    name="farm",
    help="A sandbox for learning from simulated human feedback.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would treble the time to the first line of help
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass(frozen=True)
class Context:
    """What the options before the command say."""

    ledger: str
    debug: bool

    @contextmanager
    def open(self, *, create: bool = False, read_only: bool = False) -> Iterator[Ledger]:
        from db.ledger import Ledger

        with Ledger.open(self.ledger, create=create, read_only=read_only) as ledger:
            yield ledger


JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Source = Annotated[str | None, typer.Option(help="Only what was imported from this source.")]
Subset = Annotated[str | None, typer.Option(help="Only this subset of it.")]


@app.callback()
def _options(
    context: typer.Context,
    ledger: Annotated[
        str, typer.Option(envvar="FARM_LEDGER", help="The ledger: a SQLite file or a PostgreSQL URL.")
    ] = "farm.db",
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    context.obj = Context(ledger, debug)


def _print(as_json: bool, data: Callable[[], Json], view: Callable[[], Any]) -> None:
    """One JSON object, or what a person would rather read."""
    if as_json:
        typer.echo(json.dumps(data(), ensure_ascii=False, allow_nan=False))
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.width = max(console.width, 108)
    console.print(view())


@app.command("import")
def import_(
    context: typer.Context,
    format_name: Annotated[
        str, typer.Argument(metavar="FORMAT", help="The files' format; see docs/import.md.")
    ],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files or folders.")],
    source: Annotated[str | None, typer.Option(help="Name the source, where the format does not.")] = None,
    annotator: Annotated[
        str | None, typer.Option(help="Name the annotator, where the format does not.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Its kind: human, llm, rm or gold.")] = None,
    set_name: Annotated[str | None, typer.Option("--set", help="Name the set of the instructions.")] = None,
    use: Annotated[str | None, typer.Option(help="What the set is for: train, validation or eval.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Bring files of the field's formats into the ledger. Again is harmless."""
    from farm.exchange import import_files, read_options
    from farm.views import import_view, progress_of

    options = read_options(source, annotator, kind, set_name, use)
    with context.obj.open(create=True) as ledger, progress_of("rows", not as_json) as progress:
        report = import_files(ledger, format_name, paths, options, progress)
    _print(as_json, report.to_json, lambda: import_view(report))


@app.command()
def export(
    context: typer.Context,
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help="The format to write.")],
    path: Annotated[Path, typer.Argument(help="The file to make.")],
    source: Source = None,
    subset: Subset = None,
    annotator: Annotated[str | None, typer.Option(help="Only this annotator's judgements.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the ledger's judgements in one of the field's formats."""
    from db.exports import RowFilter
    from farm.exchange import export_file

    with context.obj.open() as ledger:
        rows = export_file(ledger, format_name, path, RowFilter(source, subset, annotator))
    _print(as_json, lambda: {"path": str(path), "rows": rows}, lambda: f"{rows:,} rows in {path}")


@app.command("annotators")
def annotators_(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Show this one whole, with its prompt.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="The model to ask, or SLOT=MODEL; repeat it for several slots.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the catalogue, or show one annotator with its prompt on a real pair."""
    from dataclasses import asdict

    from db.errors import LedgerNotFound
    from farm.annotators import annotator, annotators
    from farm.views import annotator_view, annotators_view

    if name is None:
        lines = annotators(tuple(model or ()))
        _print(as_json, lambda: [asdict(line) for line in lines], lambda: annotators_view(lines))
        return
    try:
        with context.obj.open() as ledger:
            shown = annotator(name, ledger, tuple(model or ()))
    except LedgerNotFound:
        shown = annotator(name, None, tuple(model or ()))
    _print(as_json, shown.to_json, lambda: annotator_view(shown))


@app.command()
def annotate(
    context: typer.Context,
    annotator: Annotated[str, typer.Argument(help="A name of the catalogue: see `farm annotators`.")],
    source: Source = None,
    subset: Subset = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many pairs.")] = None,
    replicates: Annotated[int, typer.Option(min=1, help="Independent judgements of each pair.")] = 1,
    orders: Annotated[
        str | None, typer.Option(help="Which output is shown first: random, both or stored.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The seed of every keyed draw.")] = None,
    utility: Annotated[
        str, typer.Option(help="For the oracle: a Python callable, package.module:function.")
    ] = "",
    model: Annotated[
        list[str] | None, typer.Option(help="The model to ask, or SLOT=MODEL; repeat it for several slots.")
    ] = None,
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would ask and cost.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Let an annotator judge the ledger's pairs. What it has judged already it does not judge again."""
    from db.ledger import PairFilter
    from farm.annotate import Provider, Task, orders_named, plan
    from farm.annotate import annotate as run
    from farm.views import annotate_view, estimate_json, estimate_view, progress_of

    task = Task(PairFilter(source, subset, limit), replicates, orders_named(orders), seed, utility)
    provider = Provider(
        tuple(model or ()),
        base_url,
        concurrency,
        rpm,
        tpm,
        max_cost,
        max_requests,
        prices,
        batch,
        poll_seconds,
    )
    if dry_run:
        with context.obj.open() as ledger:
            estimate = plan(ledger, annotator, task, provider)
        _print(as_json, lambda: estimate_json(estimate), lambda: estimate_view(estimate))
        return
    with context.obj.open() as ledger, progress_of("judgements", not as_json) as progress:
        report = run(ledger, annotator, task, progress, provider)
    _print(as_json, report.to_json, lambda: annotate_view(report))


@app.command()
def snapshot(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    annotator: Annotated[list[str] | None, typer.Option(help="Whose judgements; repeat it.")] = None,
    source: Source = None,
    subset: Subset = None,
    as_json: JsonFlag = False,
) -> None:
    """Freeze judgements, by content, for training."""
    from farm.snapshot import Choice
    from farm.snapshot import snapshot as freeze
    from farm.views import snapshot_view

    with context.obj.open() as ledger:
        report = freeze(ledger, name, Choice(tuple(annotator or ()), source, subset))
    _print(as_json, report.to_json, lambda: snapshot_view(report))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def train(
    context: typer.Context,
    method: Annotated[str, typer.Argument(help="A reference method: see docs/train.md.")] = "",
    model: Annotated[str, typer.Option(help="The model to start from: a directory or a hub id.")] = "",
    out: Annotated[Path | None, typer.Option(help="The folder of the run; again, it goes on there.")] = None,
    snapshot: Annotated[str | None, typer.Option(help="The judged pairs to learn from.")] = None,
    set_name: Annotated[str | None, typer.Option("--set", help="The instructions to learn from.")] = None,
    reference: Annotated[str | None, typer.Option(help="The reference model, if not --model.")] = None,
    reward: Annotated[str | None, typer.Option(help="The reward model, where the method wants one.")] = None,
    held_out: Annotated[float, typer.Option(help="Share of the instructions kept for evaluation.")] = 0.05,
    config: Annotated[
        Path | None, typer.Option(help="The method's options as YAML; flags go before it.")
    ] = None,
    help_: Annotated[bool, typer.Option("--help", "-h", help="Show the method's options.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Train a reference method; every option of the method is a flag too."""
    from farm.train import TrainTask, method_options
    from farm.train import train as run
    from farm.views import options_view, train_view

    if help_ or not method:
        typer.echo(context.get_help())
        if method:
            _print(False, lambda: None, lambda: options_view(method, method_options(method)))
        return
    if not model or out is None:
        raise typer.BadParameter("train needs --model and --out")
    flags = _flags(context.args)
    task = TrainTask(model, out, snapshot, set_name, reference, reward, held_out)
    with context.obj.open() as ledger:
        report = run(ledger, method, task, config, flags)
    _print(as_json, report.to_json, lambda: train_view(report))


def _flags(arguments: list[str]) -> dict[str, str]:
    """--name value and --name=value as a mapping; raises on anything else."""
    flags, left = {}, list(arguments)
    while left:
        name, equals, value = left.pop(0).partition("=")
        if not name.startswith("--") or not (equals or left):
            raise typer.BadParameter(f"{name} is neither an option with a value nor expected here")
        flags[name.removeprefix("--")] = value if equals else left.pop(0)
    return flags


@app.command("serve-simulator")
def serve_simulator(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8080,
    config: Annotated[Path | None, typer.Option(help="Judges, faults and latency (YAML).")] = None,
) -> None:
    """Play an OpenAI-compatible provider of judges on this machine, until interrupted."""
    from farm.simulator import serve_simulator as serve

    serve(host, port, config, lambda url: typer.echo(f"serving {url}"))


@app.command()
def audit(
    context: typer.Context,
    source: Source = None,
    subset: Subset = None,
    annotator: Annotated[list[str] | None, typer.Option(help="Only these annotators; repeat it.")] = None,
    reference: Annotated[str | None, typer.Option(help="human, gold, or the name of an annotator.")] = None,
    by: Annotated[list[str] | None, typer.Option(help="Slice by source or subset; repeat it.")] = None,
    nulls: Annotated[
        str, typer.Option(help="An unreadable verdict counts as wrong, or is dropped: drop.")
    ] = "wrong",
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    csv: Annotated[Path | None, typer.Option(help="Also write the rows to this CSV file.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """How far annotators agree with people, with a gold standard and with each other."""
    from farm.audit import AuditOptions, audit_ledger
    from farm.audit_view import audit_view, write_csv

    options = AuditOptions(
        source, subset, tuple(annotator or ()), reference, nulls, draws, seed, tuple(by or ())
    )
    with context.obj.open() as ledger:
        report = audit_ledger(ledger, options)
    if csv:
        write_csv(report, csv)
    _print(as_json, report.to_json, lambda: audit_view(report))


@app.command()
def status(
    context: typer.Context,
    contamination: Annotated[
        bool, typer.Option("--contamination", help="Instructions in both a training and an evaluation set.")
    ] = False,
    train: Annotated[list[str] | None, typer.Option(help="Sets or sources to take as training.")] = None,
    evaluation: Annotated[list[str] | None, typer.Option("--eval", help="... and as evaluation.")] = None,
    threshold: Annotated[float, typer.Option(help="Share of common shingles that is too near.")] = 0.6,
    as_json: JsonFlag = False,
) -> None:
    """What the ledger holds."""
    from farm.status import contamination as find
    from farm.status import status as summarise
    from farm.views import contamination_view, status_view

    with context.obj.open() as ledger:
        if contamination:
            found = find(ledger, tuple(train or ()), tuple(evaluation or ()), threshold)
            _print(as_json, found.to_json, lambda: contamination_view(found))
            return
        summary = summarise(ledger)
    _print(as_json, summary.to_json, lambda: status_view(summary))


@app.command()
def doctor(context: typer.Context, as_json: JsonFlag = False) -> None:
    """What of the environment and the ledger works, with a remedy for each fault."""
    from farm.doctor import examine
    from farm.views import doctor_view

    findings = examine(context.obj.ledger)
    _print(as_json, findings.to_json, lambda: doctor_view(findings))
    if not findings.healthy:
        raise typer.Exit(1)


@app.command()
def backup(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The copy to make.")],
    as_json: JsonFlag = False,
) -> None:
    """Copy the ledger to a new file while others may write; the copy is checked."""
    from db.maintenance import backup as copy

    with context.obj.open() as ledger:
        size = copy(ledger, path)
    _print(as_json, lambda: {"path": str(path), "bytes": size}, lambda: f"{size:,} bytes in {path}, checked")


@app.command()
def merge(
    context: typer.Context,
    other: Annotated[str, typer.Argument(help="The other ledger: a file or a URL.")],
    keep_ours: Annotated[
        bool, typer.Option("--keep-ours", help="Where judgements differ keep this ledger's, and go on.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Bring another ledger's facts into this one, by content; nothing is doubled."""
    from db.ledger import Ledger
    from db.maintenance import merge as bring
    from farm.views import merge_json, merge_view

    with context.obj.open(create=True) as ledger, Ledger.open(other) as theirs:
        merged = bring(ledger, theirs, keep_ours)
    _print(as_json, lambda: merge_json(merged), lambda: merge_view(merged))


def main() -> None:
    """Run the command line; a FarmError becomes one line on standard error and exit code 1."""
    try:
        app()
    except Exception as error:
        from db.errors import FarmError

        if "--debug" in sys.argv or not isinstance(error, FarmError):
            raise
        typer.echo(f"farm: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
