"""Outputs by their producer, and how many each producer made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from db.instruction_rows import ANSWERED, output_of
from db.ledger import Ledger
from db.records import Output, ProducerKind
from db.records import Source as Source
from db.tables import INSTRUCTION, MEMBERSHIP, OUTPUT

LOOKUP = 5_000


@dataclass(frozen=True, slots=True)
class Produced:
    """A producer with one of its decodings, and the number of its outputs with it."""

    producer: str
    kind: ProducerKind
    decoding: str
    outputs: int


def producers(ledger: Ledger) -> list[Produced]:
    """Every producer and decoding, in the order of their first outputs."""
    row = OUTPUT.c
    query = (
        select(row.producer, row.producer_kind, row.decoding, func.count())
        .group_by(row.producer, row.producer_kind, row.decoding)
        .order_by(func.min(row.id))
    )
    return [
        Produced(name, ProducerKind(kind), decoding, count)
        for name, kind, decoding, count in ledger.stream(query)
    ]


def outputs_of(ledger: Ledger, source: Source, set_name: str | None = None) -> Iterator[Output]:
    """Stream a producer's outputs, by instruction and sample number.

    set_name: outputs to the instructions of this set only.
    """
    row = OUTPUT.c
    query = (
        select(*ANSWERED)
        .join(INSTRUCTION, INSTRUCTION.c.id == row.instruction_id)
        .where(row.producer == source.producer)
        .order_by(row.instruction_id, row.sample, row.id)
    )
    if source.decoding is not None:
        query = query.where(row.decoding == source.decoding)
    if set_name is not None:
        members = select(MEMBERSHIP.c.instruction_id).where(MEMBERSHIP.c.set_name == set_name)
        query = query.where(row.instruction_id.in_(members))
    yield from map(output_of, ledger.stream(query))


def drawn(ledger: Ledger, source: Source, instruction_keys: Sequence[str]) -> set[tuple[str, int]]:
    """The instruction key and sample number of those outputs of a source that are to these instructions."""
    row, found = OUTPUT.c, set[tuple[str, int]]()
    for i in range(0, len(instruction_keys), LOOKUP):
        query = (
            select(INSTRUCTION.c.key, row.sample)
            .join(INSTRUCTION, INSTRUCTION.c.id == row.instruction_id)
            .where(row.producer == source.producer)
            .where(INSTRUCTION.c.key.in_(instruction_keys[i : i + LOOKUP]))
        )
        if source.decoding is not None:
            query = query.where(row.decoding == source.decoding)
        found |= {(key, sample) for key, sample in ledger.stream(query)}
    return found


def latest(ledger: Ledger, producer: str) -> Source:
    """A producer with the newest of its decodings; with any decoding where it has no outputs."""
    found = [each.decoding for each in producers(ledger) if each.producer == producer]
    return Source(producer, found[-1] if found else None)
