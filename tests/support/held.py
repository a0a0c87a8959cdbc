"""The bytes of a ledger that is open in this process."""

from __future__ import annotations

import subprocess
from pathlib import Path


def bytes_of(path: Path | str) -> bytes:
    """The content of a file, read by another process: this one would end SQLite's locks on it."""
    return subprocess.run(["cat", str(path)], check=True, capture_output=True).stdout
