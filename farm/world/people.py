"""Writes the judgements of the world's people, and of the gold utility, as annotations to the ledger.

A verdict depends on pair and person alone, so that judging again adds nothing.
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
    """What was judged, and by whom."""

    pairs: int
    annotators: tuple[str, ...]
    new: int  # judgements that were written
    known: int  # judgements that the ledger had already

    def to_json(self) -> Json:
        """The report as JSON."""
        return asdict(self)


def people(
    ledger: Ledger, spec: WorldSpec, wanted: PairFilter = EVERY_PAIR, persons_per_pair: int = 1
) -> PeopleReport:
    """Let `persons_per_pair` of the people judge each wanted pair. See `judges_of` for who is drawn."""
    panel = crowd(spec.seed, CROWD)
    with ledger.writing() as writer:
        ids = dict(zip(panel, writer.annotators([person.card for person in panel]), strict=True))

    def judge(pair: Pair) -> Iterator[Annotation]:
        for person in judges_of(pair, panel, persons_per_pair):
            yield _annotation(pair, ids[person], person.judge(pair))

    return _judge_all(ledger, wanted, judge, tuple(person.name for person in panel))


def let_judge(ledger: Ledger, who: str, spec: WorldSpec, wanted: PairFilter, persons: int) -> PeopleReport:
    """Let `who`, which is "people" or "gold", judge the wanted pairs. Raises ConfigError for other names.

    persons: people per pair.
    """
    if who == "gold":
        return judge_by_gold(ledger, wanted)
    if who != "people":
        raise ConfigError(f"nobody here is called {who!r}", remedy="people or gold can judge")
    return people(ledger, spec, wanted, persons)


def judge_by_gold(ledger: Ledger, wanted: PairFilter = EVERY_PAIR) -> PeopleReport:
    """Let the gold utility judge each wanted pair: 1 or 0, and 0.5 where both outputs are worth the same."""
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
    """Judge every wanted pair and write the judgements, BATCH pairs in a transaction."""
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
    return Annotation(
        pair_id=pair.id,
        annotator_id=annotator_id,
        preference=preference,
        label=preference,
        swapped=judged.swapped,
    )
