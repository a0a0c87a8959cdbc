"""An ensemble of reward models on a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from farm.ensemble import EnsembleReport
from farm.terminal.common import counted, plain, table


def ensemble_view(report: EnsembleReport) -> RenderableType:
    """A row for each member and one for the ensemble; how far members are apart, and where it is."""
    rows = table("reward model", "mean score#", "deviation#", "accuracy#", "ece#")
    for each in (*report.members, report.together):
        figures = (f"{value:.3f}" for value in (each.mean, each.deviation, each.accuracy, each.ece))
        rows.add_row(plain(each.source), *figures)
    apart = f"the members' scores of an output have a standard deviation of {report.disagreement:.3f}"
    said = f"On {counted(report.pairs, 'pair')}; {apart}."
    return Group(rows, Text(), plain(said), plain(f"Use it with --reward {report.folder}"))
