"""Count what a ledger holds: `farm status`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass

from db.ids import Json
from db.ledger import Ledger
from db.names import alike
from db.queries.holdings import sources


@dataclass(frozen=True)
class SourceCount:
    """Number of imported or paired items of one source and subset."""

    source: str
    subset: str | None
    items: int


@dataclass(frozen=True)
class SetCount:
    """Number of instructions in one named set. use: what the set is for, such as train or eval."""

    name: str
    use: str | None
    instructions: int


@dataclass(frozen=True)
class Status:
    """Counts of facts by table, imported items by source and subset, instructions by named set."""

    ledger: str
    schema: str
    counts: dict[str, int]
    sources: tuple[SourceCount, ...]
    sets: tuple[SetCount, ...]
    annotators: dict[str, int]  # by kind
    alike: tuple[str, ...] = ()  # annotators whose names look alike, a line for each group

    def to_json(self) -> dict[str, Json]:
        """The counts as a JSON object."""
        return {
            "ledger": self.ledger,
            "schema": self.schema,
            "counts": self.counts,
            "sources": [asdict(count) for count in self.sources],
            "sets": [asdict(count) for count in self.sets],
            "annotators": self.annotators,
            "alike": list(self.alike),
        }


def status(ledger: Ledger) -> Status:
    """Count what the ledger holds, in one state of it."""
    with ledger.frozen():
        return _counted(ledger)


def _counted(ledger: Ledger) -> Status:
    sets: dict[tuple[str, str | None], set[str]] = defaultdict(set)
    for membership in ledger.memberships():
        use = membership.use and membership.use.value
        sets[membership.set_name, use].add(membership.instruction.key)
    kinds: dict[str, int] = defaultdict(int)
    cards = ledger.annotators()
    for card in cards:
        kinds[card.kind.value] += 1
    return Status(
        ledger=str(ledger.address),
        schema=ledger.revision(),
        counts=ledger.counts(),
        sources=tuple(SourceCount(*found) for found in sources(ledger)),
        sets=tuple(SetCount(name, use, len(keys)) for (name, use), keys in sorted(sets.items(), key=str)),
        annotators=dict(kinds),
        alike=alike(card.name for card in cards),
    )
