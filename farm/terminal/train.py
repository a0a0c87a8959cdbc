"""A run and the options of its method on a terminal."""

from __future__ import annotations

from dataclasses import MISSING
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

if TYPE_CHECKING:
    from farm.config import Option
    from farm.train import TrainReport
from farm.terminal.common import counted, plain, table


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
