"""What the commands show a person on a terminal. Text that came from outside is shown as plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING
from textwrap import shorten
from typing import TYPE_CHECKING

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from db.ids import Json
from db.maintenance import Merged
from farm.foreign import printed

if TYPE_CHECKING:
    from annotators.clients.budget import Estimate
    from farm.annotate import AnnotateReport
    from farm.annotators import Line, Shown
    from farm.config import Option
    from farm.doctor import Findings
    from farm.exchange import FileReport, ImportReport
    from farm.snapshot import SnapshotReport
    from farm.status import Contamination, Status
    from farm.train import TrainReport

REFUSALS = 10  # shown of each file; --json shows more
OVERLAPS = 20
SUMMARY = 34  # characters of what an annotator is
LEVELS = {"ok": "green", "warning": "yellow", "fault": "red"}


@contextmanager
def progress_of(unit: str, shown: bool) -> Iterator[Callable[[str, int], None]]:
    """A line on standard error that counts what is done, with its rate; silent where it is no terminal."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as progress:
        task = progress.add_task("")

        def advance(name: str, done: int) -> None:
            progress.update(task, completed=done)
            seconds = progress.tasks[task].elapsed or 0.0
            rate = f", {done / seconds:,.0f} a second" if seconds else ""
            progress.update(task, description=f"{plain(name)}: {done:,} {unit}{rate}")

        yield advance


def plain(text: str) -> Text:
    """Foreign text with its control characters made visible, and never read as markup."""
    return Text(printed(text))


def counted(count: int, thing: str) -> str:
    """A number of things: 1 reply, 2,000 replies, 0 pairs."""
    several = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count:,} {thing if count == 1 else several}"


def table(*columns: str) -> Table:
    """A plain table; a column whose name ends in `#` holds numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = column.endswith("#")
        justify: JustifyMethod = "right" if numeric else "left"
        made.add_column(
            column.removesuffix("#"), justify=justify, no_wrap=True, min_width=0 if numeric else 12
        )
    return made


def import_view(report: ImportReport) -> RenderableType:
    """The counts of each file, then what was refused and why."""
    files = table("file", "read#", "new#", "already there#", "refused#")
    for each in report.files:
        counts = (each.read, each.kept, each.known, each.refused)
        files.add_row(plain(each.path), *(f"{count:,}" for count in counts))
    if len(report.files) > 1:
        totals = (report.total(count) for count in ("read", "kept", "known", "refused"))
        files.add_row("all", *(f"{total:,}" for total in totals), style="bold")
    return Group(files, *(_refusals(each) for each in report.files if each.refusals))


def _refusals(report: FileReport) -> RenderableType:
    lines = Text()
    for refusal in report.refusals[:REFUSALS]:
        lines.append_text(plain(f"{report.path}, row {refusal.row}: {refusal.reason}")).append("\n")
    if report.refused > REFUSALS:
        lines.append(f"... and {report.refused - REFUSALS:,} more in {report.path}\n")
    return lines


def annotate_view(report: AnnotateReport) -> RenderableType:
    """One line of what became of the pairs."""
    new = sum(report.statuses.values())
    parts = ", ".join(f"{count:,} {status}" for status, count in report.statuses.items()) or "none"
    elsewhere = f", {report.elsewhere:,} being asked by another run" if report.elsewhere else ""
    made = f"{counted(new, 'new judgement')} ({parts})"
    return plain(
        f"{report.annotator} judged {counted(report.pairs, 'pair')}: {made}, "
        f"{report.known:,} there already{elsewhere}{_bill(report)}"
    )


def members_view(reports: Sequence[AnnotateReport]) -> RenderableType:
    """One line for each member of a pool."""
    return Group(*map(annotate_view, reports))


def _bill(report: AnnotateReport) -> str:
    """What was asked and paid, and what the server did otherwise than it was told."""
    if not report.requests:
        return ""
    cost = "cost unknown" if report.cost is None else f"${report.cost:.4f}"
    if report.cost_bound != report.cost:
        cost += f" (${report.cost_bound:.4f} at most: some replies came without their bill)"
    told = [f"{counted(n, 'request')} failed: {name}" for name, n in (report.failures or {}).items()]
    told += [f"{counted(n, 'reply')}: {name}" for name, n in (report.warnings or {}).items()]
    asked = f"{counted(report.requests, 'request')}, {counted(report.tokens, 'token')}"
    return "; ".join(["", asked + f", {cost}", *told])


def estimate_json(estimate: Estimate) -> Json:
    return {
        "requests": estimate.requests,
        "prompt_tokens": estimate.prompt_tokens,
        "completion_tokens": estimate.completion_tokens,
        "cost": estimate.cost,
    }


def estimate_view(estimate: Estimate) -> RenderableType:
    """One line of what a run would ask and cost."""
    cost = "at an unknown price" if estimate.cost is None else f"for about ${estimate.cost:.4f}"
    return plain(
        f"would ask {counted(estimate.requests, 'request')}, about {estimate.prompt_tokens:,} prompt and "
        f"{estimate.completion_tokens:,} completion tokens, {cost}"
    )


def annotators_view(lines: Sequence[Line]) -> RenderableType:
    """The catalogue, one line each, and how its prices are meant."""
    shares = ["share#"] if any(line.share is not None for line in lines) else []
    rows = table("annotator", "model", "replies", "batch#", "noise#", *shares, "$#", "what it is")
    for line in lines:
        price = "?" if line.price_per_1000 is None else f"{line.price_per_1000:.2f}"
        batch, noise = str(line.batch or ""), f"{line.noise:.2f}" if line.noise else ""
        share = ["" if line.share is None else f"{line.share:.3f}" for _ in shares]
        texts = (plain(line.name), plain(line.model), plain(line.prompt))
        rows.add_row(
            *texts, batch, noise, *share, price, plain(shorten(line.summary, SUMMARY, placeholder=" …"))
        )
    checked = sorted({line.priced for line in lines if line.priced})
    when = f", as they were in {' to '.join(dict.fromkeys((checked[0], checked[-1])))}" if checked else ""
    unknown = "; ? where the price is unknown" if any(line.price_per_1000 is None for line in lines) else ""
    return Group(rows, Text(f"\n$: US dollars for 1,000 pairs of typical length{when}{unknown}."))


def annotator_view(shown: Shown) -> RenderableType:
    """One annotator whole."""
    parts: list[RenderableType] = [annotators_view([shown.line, *shown.members])]
    parts.append(plain(f"fingerprint {shown.fingerprint}"))
    for role, text in shown.prompt:
        parts.append(Text(f"\n[{role}]", style="bold"))
        parts += [plain(line) for line in text.splitlines()]
    return Group(*parts)


def snapshot_view(report: SnapshotReport) -> RenderableType:
    card = report.card
    left = f"; {report.identical:,} of identical outputs left out" if report.identical else ""
    return plain(f"snapshot {card.name}: {counted(card.rows, 'judgement')}, {card.key}{left}")


def train_view(report: TrainReport) -> RenderableType:
    """Where the checkpoint is, and the last metrics."""
    rows = table("metric", "#")
    for name, value in sorted(report.metrics.items()):
        rows.add_row(name, f"{value:.4g}")
    took = f"{counted(report.steps, 'step')} on {counted(report.rows, 'row')}"
    head = f"{report.method}: {took} ({report.held_out:,} held out)"
    return Group(plain(head), rows, plain(f"checkpoint: {report.checkpoint}"))


def options_view(method: str, options: list[Option]) -> RenderableType:
    """A method's options, each with its type, default and meaning."""
    lines = Text(f"\nOptions of {method}:\n")
    for option in options:
        default = "required" if option.default is MISSING else f"default {option.default}"
        lines.append(f"  --{option.name.replace('_', '-')} <{option.type}>  [{default}]\n")
        lines.append(f"        {option.doc}\n")
    return lines


def status_view(status: Status) -> RenderableType:
    """Counts, sources, sets."""
    facts = table("", "#")
    for name, count in status.counts.items():
        facts.add_row(f"{name}s", f"{count:,}")
    sources = table("source", "subset", "items#")
    for source in status.sources:
        sources.add_row(plain(source.source), plain(source.subset or ""), f"{source.items:,}")
    sets = table("set", "use", "instructions#")
    for each in status.sets:
        sets.add_row(plain(each.name), each.use or "", f"{each.instructions:,}")
    parts: list[RenderableType] = [plain(f"{status.ledger} (schema {status.schema})"), facts]
    for title, rows in (("\nImported", sources), ("\nInstructions", sets)):
        parts += [Text(title), rows] if rows.row_count else []
    return Group(*parts)


def contamination_view(found: Contamination) -> RenderableType:
    """How many evaluation instructions are in the training sets, then the nearest."""
    exact = sum(overlap.exact for overlap in found.overlaps)
    held_out, training = sum(found.evaluation.values()), sum(found.training.values())
    head = Text(
        f"Of {held_out:,} evaluation instructions {exact:,} stand in a training set (of {training:,}) too, "
        f"and {len(found.overlaps) - exact:,} more nearly (Jaccard of shingles >= {found.threshold:g}).\n"
    )
    rows = table("near#", "evaluation set", "training set", "instruction")
    for overlap in sorted(found.overlaps, key=lambda each: -each.similarity)[:OVERLAPS]:
        names = (plain(overlap.evaluation_set), plain(overlap.training_set))
        rows.add_row(f"{overlap.similarity:.2f}", *names, plain(overlap.evaluation[:54]))
    more = len(found.overlaps) - OVERLAPS
    return Group(head, rows, Text(f"... and {more:,} more: see --json") if more > 0 else Text())


def doctor_view(findings: Findings) -> RenderableType:
    """One line for each thing that was looked at, with the remedy under what is not well."""
    lines = Text()
    for finding in findings.findings:
        lines.append(f"{finding.level:8}", style=LEVELS[finding.level])
        lines.append(f"{finding.name:13}").append_text(plain(finding.found)).append("\n")
        if finding.remedy:
            lines.append(" " * 21 + f"-> {finding.remedy}\n", style="italic")
    return lines


def merge_json(merged: Merged) -> Json:
    return {"added": dict(merged.added), "conflicts": [conflict.reason for conflict in merged.conflicts]}


def merge_view(merged: Merged) -> RenderableType:
    rows = table("", "new#")
    for name, count in merged.added.items():
        rows.add_row(f"{name}s", f"{count:,}")
    kept = (
        f"{counted(len(merged.conflicts), 'judgement')} differed; this ledger's were kept."
        if merged.conflicts
        else ""
    )
    return Group(rows, Text(kept))
