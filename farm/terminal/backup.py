"""A copy of the ledger on a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from db.ids import Json
from farm.terminal.common import plain


def backup_json(path: Path, size: int) -> Json:
    """The copy as a JSON object. size: in bytes."""
    return {"path": str(path), "bytes": size}


def backup_view(path: Path, size: int) -> Text:
    """One line: how large the copy is, and where. size: in bytes."""
    return plain(f"{size:,} bytes in {path}, checked")
