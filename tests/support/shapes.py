"""Rows of a format, written to a file and read back as entries; the format is the guessed one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from db.interchange import FORMATS, guess
from db.interchange.rows import Entry, PreferenceRow, ReadOptions, Refusal

NO = ReadOptions()


def shaped(
    path: Path, name: str, rows: Sequence[Mapping[str, Any]], options: ReadOptions = NO
) -> list[Entry | Refusal]:
    """Write the rows as JSON lines, see that they are known as this format, and read them."""
    assert guess(rows[0]) == name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)))
    return list(FORMATS[name].read(path, options))


def judged(
    path: Path, name: str, rows: Sequence[Mapping[str, Any]], options: ReadOptions = NO
) -> list[PreferenceRow]:
    """The same, where every row is a judgement."""
    found = shaped(path, name, rows, options)
    assert all(isinstance(row, PreferenceRow) for row in found), found
    return [row for row in found if isinstance(row, PreferenceRow)]
