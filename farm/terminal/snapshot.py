"""A snapshot on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType

if TYPE_CHECKING:
    from farm.snapshot import SnapshotReport
from farm.terminal.common import counted, plain


def snapshot_view(report: SnapshotReport) -> RenderableType:
    """One line: the snapshot's name, its size and its content hash."""
    card = report.card
    left = f"; {report.identical:,} of identical outputs left out" if report.identical else ""
    rows = counted(card.rows, "rating" if card.unpaired else "judgement")
    return plain(f"snapshot {card.name}: {rows}, {card.key}{left}")
