"""Write the ledger's judgements in a file of one of the field's formats: `farm export`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from db.errors import ConfigError
from db.interchange import FORMATS
from db.interchange.rows import PreferenceRow, RatedOutput
from db.ledger import Ledger
from db.queries.exports import RowFilter, preference_rows
from db.queries.ratings import RatingRows
from db.whole_files import refuse_other, write_bytes_whole, write_whole
from farm.audit import agreements
from farm.evaluation.cards import CARD, dataset_card
from farm.import_ import format_named


def export_file(ledger: Ledger, format_name: str, path: Path, wanted: RowFilter) -> int:
    """Write the ledger's judgements in one of the field's formats. Returns the number of rows.

    The file appears under its name when it is whole and synced, and its card stands beside it already. A card
    without its file, left by a run that was killed, is replaced. Raises ConfigError where the format can only
    be read, the file's name does not fit it, or the file exists.
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
    refuse_other(path)
    refuse_other(card, CARD)
    write = chosen.write

    def both(unfinished: Path) -> int:
        with ledger.frozen():
            rows = _WithRatings(ledger, wanted) if chosen.writes_ratings else preference_rows(ledger, wanted)
            count = write(rows, unfinished)
            text = dataset_card(ledger, path, chosen.name, wanted, rows=count, agreements=agreements)
        write_bytes_whole(card, text.encode(), CARD)
        return count

    return write_whole(path, both)


@dataclass(frozen=True)
class _WithRatings:
    """Streams ratings and then judgements, each time that it is iterated."""

    ledger: Ledger
    wanted: RowFilter

    def __iter__(self) -> Iterator[RatedOutput | PreferenceRow]:
        yield from RatingRows(self.ledger, self.wanted)
        yield from preference_rows(self.ledger, self.wanted)


def card_path(path: Path) -> Path:
    """The path of an exported file's card."""
    return path.with_name(f"{path.name}.card.md")
