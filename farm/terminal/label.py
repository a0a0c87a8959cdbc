"""What people did at the labelling page, on a terminal."""

from __future__ import annotations

from rich.console import RenderableType

from farm.label import LabelReport
from farm.terminal.common import plain, table


def label_view(report: LabelReport) -> RenderableType:
    """One row for each person."""
    rows = table(
        "person", "judged#", "ties#", "skipped#", "left#", "seconds#", "identical: tied#", "repeats: same#"
    )
    for each in report.people:
        seconds = "" if each.seconds is None else f"{each.seconds:.1f}"
        counts = (f"{count:,}" for count in (each.judged, each.ties, each.skipped, each.left))
        caught = (f"{each.identical_ties} of {each.identical}", f"{each.repeats_same} of {each.repeats}")
        rows.add_row(plain(each.annotator), *counts, seconds, *caught)
    return rows
