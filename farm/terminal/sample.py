"""The view of `farm sample` on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from farm.sample import SampleReport
from farm.terminal.common import counted, lasting, plain, table

if TYPE_CHECKING:
    from farm.producers.draw_plan import DrawPlan


def draw_plan_view(plan: DrawPlan) -> RenderableType:
    """What a draw would take: memory, tokens and time."""
    rows = table("memory", "GB#")
    for name, size in {
        "the program and the loaded weights": plan.held,
        "  of which weights": plan.weights,
        "keys, values and logits, at most": plan.drawing,
        "at most at once": plan.peak,
        "free": plan.free,
    }.items():
        rows.add_row(name, f"{size / 1e9:.2f}")
    head = f"{counted(plan.draws, 'output')} to draw, {plan.known:,} are there"
    tokens = f"{plan.prompt_tokens:,} tokens to read, {plan.response_tokens:,} to draw at most"
    return Group(plain(head), rows, plain(tokens), plain(f"time: {lasting(plan.seconds)} at most"))


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
