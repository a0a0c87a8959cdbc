"""New pairs on a terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from farm.pair import PairReport
from farm.terminal.common import counted, plain


def pair_view(report: PairReport) -> RenderableType:
    """One line: pairs, those that are new, and instructions with nothing to pair."""
    text = Text.assemble(
        plain(report.name),
        f": {counted(report.pairs, 'pair')} of {counted(report.instructions, 'instruction')}, "
        f"{report.new:,} of them new",
    )
    if report.alone:
        text.append(f"\n{counted(report.alone, 'instruction')} without two outputs to pair")
    return text
