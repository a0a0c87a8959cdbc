"""Asking the people of the world: their judgements, and gold's, become annotations in the ledger.

What was judged is not judged again; a verdict is a function of pair and person alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Protocol

from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger, PairFilter
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Pair
from farm.world import gold as truth
from farm.world.build import WorldSpec
from farm.world.crowd import CROWD, PersonVerdict, crowd, judges_of

BATCH = 2_000
EVERY_PAIR = PairFilter()
GOLD = AnnotatorCard("world-gold", AnnotatorKind.GOLD, {"weights": truth.WEIGHTS._asdict()})


@dataclass(frozen=True)
class PeopleReport:
    """What was judged. new: judgements that were not there before, of new + known in all."""

    pairs: int
    annotators: tuple[str, ...]
    new: int
    known: int

    def to_json(self) -> Json:
        return asdict(self)


def people(
    ledger: Ledger, spec: WorldSpec, wanted: PairFilter = EVERY_PAIR, persons_per_pair: int = 1
) -> PeopleReport:
    """Let so many of the people judge each pair; those drawn for fewer are among those drawn for more."""
    panel = crowd(spec.seed, CROWD)
    with ledger.writing() as writer:
        ids = dict(zip(panel, writer.annotators([person.card for person in panel]), strict=True))

    def judge(pair: Pair) -> Iterator[Annotation]:
        for person in judges_of(pair, panel, persons_per_pair):
            yield _annotation(pair, ids[person], person.judge(pair))

    return _judge_all(ledger, wanted, judge, tuple(person.name for person in panel))


def let_judge(ledger: Ledger, who: str, spec: WorldSpec, wanted: PairFilter, persons: int) -> PeopleReport:
    """Let the people or gold judge. Raises ConfigError for anybody else."""
    if who == "gold":
        return judge_by_gold(ledger, wanted)
    if who != "people":
        raise ConfigError(f"nobody here is called {who!r}", remedy="people or gold can judge")
    return people(ledger, spec, wanted, persons)


def judge_by_gold(ledger: Ledger, wanted: PairFilter = EVERY_PAIR) -> PeopleReport:
    """Let the truth judge each pair: 1 or 0, and 0.5 where both outputs are worth the same."""
    with ledger.writing() as writer:
        [number] = writer.annotators([GOLD])

    def judge(pair: Pair) -> Iterator[Annotation]:
        asked = pair.instruction
        a, b = (truth.gold(asked.text, asked.input, each.text) for each in (pair.output_a, pair.output_b))
        better = 0.5 if abs(a - b) < 1e-9 else float(a > b)
        yield _annotation(pair, number, PersonVerdict(better, swapped=False))

    return _judge_all(ledger, wanted, judge, (GOLD.name,))


class _Judge(Protocol):
    def __call__(self, pair: Pair) -> Iterator[Annotation]: ...


def _judge_all(ledger: Ledger, wanted: PairFilter, judge: _Judge, names: tuple[str, ...]) -> PeopleReport:
    """Every pair that is wanted, in transactions of BATCH pairs."""
    seen = new = known = 0
    stream = list(ledger.pairs(wanted))
    for at in range(0, len(stream), BATCH):
        part = stream[at : at + BATCH]
        facts = [fact for pair in part for fact in judge(pair)]
        with ledger.writing() as writer:
            written = writer.annotations(facts)
        seen, new, known = seen + len(part), new + written.added, known + written.known
    return PeopleReport(seen, names, new, known)


def _annotation(pair: Pair, annotator_id: int, judged: PersonVerdict) -> Annotation:
    preference = judged.preference
    return Annotation(pair.id, annotator_id, preference, preference, judged.swapped)
