"""The view of `farm sample` on a terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from farm.sample import SampleReport
from farm.terminal.common import counted, plain


def sample_view(report: SampleReport) -> RenderableType:
    """One paragraph: what was drawn, what was there, what failed."""
    elsewhere = f", {report.elsewhere:,} being asked for by another run" if report.elsewhere else ""
    text = Text.assemble(
        plain(report.producer),
        f": {counted(report.new, 'output')} to {counted(report.instructions, 'instruction')}, "
        f"{report.known:,} were there{elsewhere}",
    )
    for name, count in sorted(report.failures.items()):
        text.append(f"\n{count:,} failed: {name}; run it again to ask for them again")
    return text if report.cost is None else text.append(f"\ncost: ${report.cost:.4f}")
