"""What a ledger holds, on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

if TYPE_CHECKING:
    from farm.evaluation.contamination import Contamination
    from farm.status import Status
from farm.terminal.common import plain, table

OVERLAPS = 20


def status_view(status: Status, project: Path | None = None) -> RenderableType:
    """Counts, sources, sets. project: the farm.toml that was used."""
    facts = table("", "#")
    for name, count in status.counts.items():
        facts.add_row(f"{name}s", f"{count:,}")
    sources = table("source", "subset", "items#")
    for source in status.sources:
        sources.add_row(plain(source.source), plain(source.subset or ""), f"{source.items:,}")
    sets = table("set", "use", "instructions#")
    for each in status.sets:
        sets.add_row(plain(each.name), each.use or "", f"{each.instructions:,}")
    parts: list[RenderableType] = [plain(f"{status.ledger} (schema {status.schema})")]
    parts += [plain(f"settings of {project}")] if project else []
    parts.append(facts)
    for title, rows in (("\nImported", sources), ("\nInstructions", sets)):
        parts += [Text(title), rows] if rows.row_count else []
    parts += [plain(line) for line in status.alike]
    return Group(*parts)


def contamination_view(found: Contamination) -> RenderableType:
    """How many evaluation instructions are in the training sets, then the nearest."""
    exact = sum(overlap.exact for overlap in found.overlaps)
    held_out, training = sum(found.evaluation.values()), sum(found.training.values())
    head = Text(
        f"Of {held_out:,} evaluation instructions {exact:,} stand in a training set (of {training:,}) too, "
        f"and {len(found.overlaps) - exact:,} more nearly (Jaccard of shingles >= {found.threshold:g}).\n"
    )
    rows = table("near#", "evaluation set", "training set", "instruction")
    for overlap in sorted(found.overlaps, key=lambda each: -each.similarity)[:OVERLAPS]:
        names = (plain(overlap.evaluation_set), plain(overlap.training_set))
        rows.add_row(f"{overlap.similarity:.2f}", *names, plain(overlap.evaluation[:54]))
    more = len(found.overlaps) - OVERLAPS
    return Group(head, rows, Text(f"... and {more:,} more: see --json") if more > 0 else Text())
