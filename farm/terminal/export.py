"""An exported file on a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from db.ids import Json
from farm.export import card_path
from farm.terminal.common import plain


def export_json(path: Path, rows: int) -> Json:
    """The file, its rows and its card."""
    return {"path": str(path), "rows": rows, "card": str(card_path(path))}


def export_view(path: Path, rows: int) -> Text:
    """One line: how many rows, and where."""
    return plain(f"{rows:,} rows in {path}")
