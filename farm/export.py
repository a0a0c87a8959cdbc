"""Write the ledger's judgements in a file of one of the field's formats: `farm export`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from db.errors import ConfigError
from db.interchange import FORMATS
from db.ledger import Ledger
from db.queries.exports import RowFilter, preference_rows
from db.queries.frames import Judgements
from farm.audit import AuditOptions, audit
from farm.evaluation.audit_report import AuditReport
from farm.evaluation.cards import dataset_card
from farm.import_ import format_named

DRAWS = 200  # of the intervals of a card


def export_file(ledger: Ledger, format_name: str, path: Path, wanted: RowFilter) -> int:
    """Write the ledger's judgements in one of the field's formats. Returns the number of rows.

    The file appears under its name when it is whole and synced. Then its card is written beside it. Raises
    ConfigError where the format can only be read, the file's name does not fit it, or either file exists.
    """
    chosen = format_named(format_name)
    if chosen.write is None:
        writable = ", ".join(sorted(name for name, each in FORMATS.items() if each.write))
        raise ConfigError(f"{format_name} is read and not written", remedy=f"one of {writable}")
    if not path.name.endswith(chosen.writes):
        raise ConfigError(
            f"{format_name} is not written to such a file",
            where=str(path),
            remedy=f"end its name in {', '.join(chosen.writes)}",
        )
    card = card_path(path)
    for each in (path, card):
        if each.exists():
            raise ConfigError("there is a file of this name", where=str(each), remedy="name a new file")
    write = chosen.write
    count = _whole(path, lambda unfinished: write(preference_rows(ledger, wanted), unfinished))
    text = dataset_card(ledger, path, chosen.name, wanted, rows=count, audit=_audited)
    _whole(card, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))
    return count


def _audited(found: Judgements) -> AuditReport:
    return audit(found, AuditOptions(draws=DRAWS))


def card_path(path: Path) -> Path:
    """The path of an exported file's card."""
    return path.with_name(f"{path.name}.card.md")


def _whole(path: Path, write: Callable[[Path], int]) -> int:
    """Write under a temporary name, sync, and rename. Returns the count that `write` gives."""
    handle, name = tempfile.mkstemp(prefix=".unfinished-", suffix=path.name, dir=path.parent or Path())
    os.close(handle)
    unfinished = Path(name)
    try:
        count = write(unfinished)
        with unfinished.open("rb") as stream:
            os.fsync(stream.fileno())
        unfinished.chmod(0o644)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count
