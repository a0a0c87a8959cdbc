"""The views of `farm world` on a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from farm.terminal.common import counted, table
from farm.world.build import WorldReport
from farm.world.people import PeopleReport


def world_view(report: WorldReport) -> RenderableType:
    """The sets with their sizes, and the model to start from."""
    sets = table("set", "instructions#")
    for name, size in report.instructions.items():
        sets.add_row(name, f"{size:,}")
    new = f"{report.new_instructions:,} instructions and {report.new_demonstrations:,} demonstrations are new"
    shown = f"{report.demonstrations:,} demonstrations to world-sft; {new}"
    return Group(sets, Text(shown), Text(f"start from --model {report.model}"))


def judged_view(report: PeopleReport) -> RenderableType:
    """One line: how many judgements were made, and how many were there."""
    who = report.annotators[0] if len(report.annotators) == 1 else f"{len(report.annotators)} people"
    return Text(
        f"{who}: {counted(report.new, 'new judgement')} of {counted(report.pairs, 'pair')}, "
        f"{report.known:,} were there"
    )
