"""What an import read, kept and refused, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

if TYPE_CHECKING:
    from farm.import_ import FileReport, ImportReport
from farm.terminal.common import plain, table

REFUSALS = 10  # shown of each file; --json shows more


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
