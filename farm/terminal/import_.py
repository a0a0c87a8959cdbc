"""What an import read, kept and refused, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.text import Text

from db.interchange.rows import (
    Entry,
    ImportedInstruction,
    ImportedOutput,
    PreferenceRow,
    RatedOutput,
    Refusal,
)

if TYPE_CHECKING:
    from db.interchange.guessing import TableChoice
    from farm.import_ import FileReport, ImportReport
from farm.terminal.common import plain, table

SHOWN = 60  # characters of a text in a preview
SIDES = {1.0: "the first", 0.0: "the second", 0.5: "a tie", None: "no verdict"}
REFUSALS = 10  # shown of each file; --json shows all


def import_view(report: ImportReport) -> RenderableType:
    """The counts of each file, then what was refused and why."""
    files = table("file", "read#", "new#", "already there#", "refused#")
    for each in report.files:
        counts = (each.read, each.kept, each.known, each.refused)
        files.add_row(plain(each.path), *(f"{count:,}" for count in counts))
    if len(report.files) > 1:
        totals = (report.total(count) for count in ("read", "kept", "known", "refused"))
        files.add_row("all", *(f"{total:,}" for total in totals), style="bold")
    notes = (plain(note) for note in report.notes)
    return Group(files, *notes, *(_refusals(each) for each in report.files if each.refusals))


def _refusals(report: FileReport) -> RenderableType:
    lines = Text()
    for refusal in report.refusals[:REFUSALS]:
        where = refusal.file or report.path
        lines.append_text(plain(f"{where}, row {refusal.row}: {refusal.reason}")).append("\n")
    if report.refused > REFUSALS:
        lines.append(f"... and {report.refused - REFUSALS:,} more in {report.path}\n")
    return lines


def print_guess(choice: TableChoice) -> None:
    """Print a guessed mapping and three rows as they would be read, on standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("The mapping is guessed:", style="bold")
    for place, column in choice.columns.items():
        console.print(plain(f"  {place:<15} {column}"))
    if choice.codes:
        told = ", ".join(f"{value} is {SIDES[p]}" for value, p in choice.codes.items())
        console.print(plain(f"  {'':<15} {told}"))
    console.print("The first rows would be read so:", style="bold")
    for entry in choice.preview:
        console.print(plain(f"  {told_entry(entry)}"))


def told_entry(entry: Entry | Refusal) -> str:
    """What an entry says, in one line."""
    if isinstance(entry, Refusal):
        return f"row {entry.row} is refused: {entry.reason}"
    asked = _cut(f"{entry.instruction} {entry.input}")
    if isinstance(entry, ImportedInstruction):
        return f"{asked}: an instruction of the set {entry.set_name}"
    if isinstance(entry, ImportedOutput):
        where = f", in the set {entry.set_name}" if entry.set_name else ""
        return f"{asked}: {entry.model or 'a model'} answers {_cut(entry.output)}{where}"
    if isinstance(entry, RatedOutput):
        answer = f"{entry.model or 'a model'} answers {_cut(entry.output)}"
        return f"{asked}: {answer}, and {entry.annotator} rates it {entry.label:.3g} of 1"
    who = [f" by {name}" if name else "" for name in (entry.output_1_model, entry.output_2_model)]
    pair = f"{asked}: first {_cut(entry.output_1)}{who[0]}, second {_cut(entry.output_2)}{who[1]}"
    if not isinstance(entry, PreferenceRow):
        return f"{pair}: still to be judged"
    said = SIDES.get(entry.preference) or f"P(first) = {entry.preference:.3g}"
    return f"{pair}: {entry.annotator} prefers {said}"


def _cut(text: str) -> str:
    one = " ".join(text.split())
    return repr(one if len(one) <= SHOWN else one[: SHOWN - 3] + "...")
