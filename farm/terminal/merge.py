"""What a merge added, on a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from db.ids import Json
from db.maintenance import Merged
from farm.terminal.common import counted, table


def merge_json(merged: Merged) -> Json:
    """Facts added, by table, and the reasons of conflicts."""
    return {"added": dict(merged.added), "conflicts": [conflict.reason for conflict in merged.conflicts]}


def merge_view(merged: Merged) -> RenderableType:
    """One row for each table, then the number of judgements that differed."""
    rows = table("", "new#")
    for name, count in merged.added.items():
        rows.add_row(f"{name}s", f"{count:,}")
    kept = (
        f"{counted(len(merged.conflicts), 'judgement')} differed; this ledger's were kept."
        if merged.conflicts
        else ""
    )
    return Group(rows, Text(kept))
