"""What of the environment and the ledger works, with a remedy for each fault: `farm doctor`."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from db.engine import Address
from db.errors import FarmError, LedgerNotFound
from db.ids import Json
from db.ledger import Ledger

FREE_BYTES = 1 << 30
# Two connections that write and checkpoint at once could corrupt the file (fixed in 3.51.3).
WAL_RESET_FAULT = ((3, 7, 0), (3, 51, 2))


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. level: ok, warning (works, with a risk) or fault."""

    name: str
    level: str
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Findings:
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """No fault; warnings are allowed."""
        return all(finding.level != "fault" for finding in self.findings)

    def to_json(self) -> Json:
        return {"healthy": self.healthy, "findings": [asdict(finding) for finding in self.findings]}


def examine(ledger: str) -> Findings:
    """Look at Python, SQLite, the packages, the disk and the ledger; never raises a FarmError."""
    checks: tuple[Callable[[str], Iterator[Finding]], ...] = (_python, _sqlite, _packages, _disk, _ledger)
    return Findings(tuple(finding for check in checks for finding in check(ledger)))


def _python(_: str) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", "ok", version)


def _sqlite(_: str) -> Iterator[Finding]:
    first, last = WAL_RESET_FAULT
    if first <= sqlite3.sqlite_version_info <= last:
        yield Finding(
            "sqlite",
            "warning",
            f"{sqlite3.sqlite_version} has the WAL-reset fault: two processes that write at the same moment "
            "can, very rarely, corrupt a ledger",
            "let one process write at a time, keep a `farm backup`, or use SQLite 3.51.3 or newer",
        )
    else:
        yield Finding("sqlite", "ok", sqlite3.sqlite_version)


def _packages(_: str) -> Iterator[Finding]:
    for name in ("sqlalchemy", "pandas", "openai"):
        try:
            yield Finding(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "fault", "not installed", f"pip install {name}")


def _disk(ledger: str) -> Iterator[Finding]:
    path = Address.of(ledger).path if "://" not in ledger else None
    folder = path.parent if path and path.parent.exists() else Path.cwd()
    free = shutil.disk_usage(folder).free
    level = "ok" if free >= FREE_BYTES else "warning"
    remedy = "" if level == "ok" else "free some space before a long run"
    yield Finding("disk", level, f"{free / 2**30:.1f} GiB free at {folder}", remedy)
    if not os.access(folder, os.W_OK):
        yield Finding("folder", "warning", f"{folder} cannot be written", "the ledger can be read only")


def _ledger(ledger: str) -> Iterator[Finding]:
    try:
        with Ledger.open(ledger) as opened:
            opened.check()
            counts = opened.counts()
            yield Finding("schema", "ok", opened.revision())
        held = ", ".join(f"{count:,} {name}s" for name, count in counts.items() if count)
        yield Finding("ledger", "ok", held or "empty")
    except LedgerNotFound as error:
        yield Finding("ledger", "warning", str(error.what), error.remedy)
    except FarmError as error:
        yield Finding("ledger", "fault", f"{error.where}: {error.what}", error.remedy)
