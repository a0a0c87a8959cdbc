"""Written pages and figures on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from db.ids import Json
from farm.report import ReportSummary
from farm.terminal.common import plain


def reports_json(made: Sequence[ReportSummary]) -> Json:
    """One object for one thing written, a list for several."""
    return made[0].to_json() if len(made) == 1 else [each.to_json() for each in made]


def report_view(made: Sequence[ReportSummary]) -> Text:
    """One line for each thing written: its name, or the number of its files, and its size."""
    names = [each.paths[0] if len(each.paths) == 1 else f"{len(each.paths)} files" for each in made]
    return plain("\n".join(f"{name}: {each.bytes:,} bytes" for name, each in zip(names, made, strict=True)))
