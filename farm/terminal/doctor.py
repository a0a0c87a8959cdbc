"""What works and what does not, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

if TYPE_CHECKING:
    from farm.doctor import Findings
from farm.terminal.common import plain

LEVELS = {"ok": "green", "warning": "yellow", "fault": "red"}


def doctor_view(findings: Findings) -> RenderableType:
    """One line for each thing that was looked at, with the remedy under what is not well."""
    lines = Text()
    for finding in findings.findings:
        lines.append(f"{finding.level:8}", style=LEVELS[finding.level])
        lines.append(f"{finding.name:13}").append_text(plain(finding.found)).append("\n")
        if finding.remedy:
            lines.append(" " * 21 + f"-> {finding.remedy}\n", style="italic")
    return lines
